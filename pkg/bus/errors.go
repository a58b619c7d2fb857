package bus

import "errors"

// What callers tell apart. Errors of the bus also carry a class of package
// fault: Transient unless said otherwise.
var (
	// ErrFull: the stream takes no more, or the server is busy. Nothing was
	// stored out of order; slow down or refuse work, then publish again.
	ErrFull = errors.New("stream is full or server is busy")
	// ErrUnavailable: no acknowledgement came in time. The message may or may
	// not be stored; publish it again under the same id.
	ErrUnavailable = errors.New("bus is not available")
	// ErrTooLarge: one event does not fit into a message (Permanent).
	ErrTooLarge = errors.New("event is too large")
	// ErrInvalid: a message that the vocabulary does not allow (Permanent).
	ErrInvalid = errors.New("invalid message")
	// ErrUndecodable: bytes that this version cannot read.
	ErrUndecodable = errors.New("undecodable")
	// ErrMoved: the stream is not the one that was read before, or has lost
	// its tail; ask Guard for the position to go on from.
	ErrMoved = errors.New("stream was replaced or cut")
	// ErrClosed: the bus or the reader was closed.
	ErrClosed = errors.New("closed")
)
