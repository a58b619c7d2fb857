package quota

// Total is what several budgets have used together.
type Total struct {
	Used, Max int     // calls in the running windows, and the most that these may hold
	Highest   float64 // part of its window that the budget has used which used most of it
}

// Add counts one budget's window.
func (t *Total) Add(used, most int) {
	t.Used += used
	t.Max += most
	if most > 0 {
		t.Highest = max(t.Highest, float64(used)/float64(most))
	}
}
