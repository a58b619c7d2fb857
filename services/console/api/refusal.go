package api

import (
	"context"
	"errors"

	"connectrpc.com/connect"

	consolev1 "lockstep.internal/proto/console/v1"
)

// refuser is an error of a room of the console that a rule caused; the caller
// can do something about it.
type refuser interface {
	error
	// Refusal gives the rule's stable word, what it is about, and the message.
	Refusal() (rule, subject, message string)
}

// refused turns an error into what the caller is told. What is nobody's fault
// outside is logged, and not told in detail.
func (g *guard) refused(ctx context.Context, procedure string, err error) error {
	if err == nil {
		return nil
	}
	var told *connect.Error
	if errors.As(err, &told) {
		return err
	}
	var r refuser
	if errors.As(err, &r) {
		rule, subject, message := r.Refusal()
		code := connect.CodeFailedPrecondition
		switch rule {
		case "not_found":
			code = connect.CodeNotFound
		case "stale":
			code = connect.CodeAborted
		case "unavailable":
			code = connect.CodeUnavailable
		case "invalid":
			code = connect.CodeInvalidArgument
		case "role":
			code = connect.CodePermissionDenied
		case "too_many":
			code = connect.CodeResourceExhausted
		}
		out := connect.NewError(code, errors.New(message))
		if detail, err := connect.NewErrorDetail(&consolev1.Refusal{Rule: rule, Subject: subject, Message: message}); err == nil {
			out.AddDetail(detail)
		}
		return out
	}
	switch {
	case errors.Is(err, context.Canceled):
		return connect.NewError(connect.CodeCanceled, errors.New("the call was given up"))
	case errors.Is(err, context.DeadlineExceeded):
		return connect.NewError(connect.CodeDeadlineExceeded, errors.New("the call took too long; try again"))
	}
	g.logger.ErrorContext(ctx, "a call failed", "procedure", procedure, "error", err)
	return connect.NewError(connect.CodeInternal, errors.New("this did not work just now; the log of the console tells why"))
}
