package mapper

import (
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
)

// wire is a protobuf message that is being written. What has its default is left
// out, as the format has it.
type wire []byte

func (w *wire) number(n protowire.Number, v int64) {
	if v != 0 {
		*w = protowire.AppendVarint(protowire.AppendTag(*w, n, protowire.VarintType), uint64(v))
	}
}

func (w *wire) flag(n protowire.Number, v bool) {
	if v {
		w.number(n, 1)
	}
}

func (w *wire) text(n protowire.Number, v string) {
	if v != "" {
		*w = protowire.AppendString(protowire.AppendTag(*w, n, protowire.BytesType), v)
	}
}

func (w *wire) texts(n protowire.Number, v []string) {
	for _, text := range v { // an empty one is an element too
		*w = protowire.AppendString(protowire.AppendTag(*w, n, protowire.BytesType), text)
	}
}

// hash writes a fixed64.
func (w *wire) hash(n protowire.Number, v uint64) {
	if v != 0 {
		*w = protowire.AppendFixed64(protowire.AppendTag(*w, n, protowire.Fixed64Type), v)
	}
}

// hashes writes repeated fixed64.
func (w *wire) hashes(n protowire.Number, v []uint64) {
	if len(v) == 0 {
		return
	}
	w.message(n, func() {
		for _, hash := range v {
			*w = protowire.AppendFixed64(*w, hash)
		}
	})
}

// message writes what body does as a message, or as packed elements, with its length
// before it.
func (w *wire) message(n protowire.Number, body func()) {
	*w = append(protowire.AppendTag(*w, n, protowire.BytesType), 0) // most lengths are one byte
	at := len(*w)
	body()
	length := uint64(len(*w) - at)
	if more := protowire.SizeVarint(length) - 1; more > 0 {
		*w = slices.Insert(*w, at, make([]byte, more)...)
	}
	protowire.AppendVarint((*w)[:at-1], length)
}
