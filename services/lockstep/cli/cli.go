// Package cli is the operators' command line: it does by the console's API
// what the console's pages do, from any machine that reaches the console.
//
// Tables are for people; --output json gives the API's own messages. It exits
// with 0 when done, 1 when it did not work, 2 for a wrong command line, 3 when
// a rule refused.
package cli

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"connectrpc.com/connect"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	consolev1 "lockstep.internal/proto/console/v1"
)

// CLI is what all commands share.
type CLI struct {
	// TokenFile is where the token is read from when neither flag nor
	// environment gives one.
	TokenFile string

	server, token, output string
	timeout               time.Duration
}

// Add adds the commands and their common flags to a root command.
func (c *CLI) Add(root *cobra.Command) {
	flags := root.PersistentFlags()
	flags.StringVar(&c.server, "server", env("LOCKSTEP_SERVER", "http://127.0.0.1:8080"), "address of the console (LOCKSTEP_SERVER)")
	flags.StringVar(&c.token, "token", "", "API token (LOCKSTEP_TOKEN; else the file that a standalone process keeps)")
	flags.StringVarP(&c.output, "output", "o", "table", "table or json")
	flags.DurationVar(&c.timeout, "timeout", time.Minute, "how long a call may take to be answered; what comes in parts may go on longer")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions([]string{"table", "json"}, cobra.ShellCompDirectiveNoFileComp))
	root.AddCommand(
		c.tenants(), c.apps(), c.mappings(), c.syncs(), c.users(), c.dispositions(),
		c.contacts(), c.inbox(), c.holds(), c.letters(), c.alerts(), c.access(), c.audit(), c.pipeline(),
	)
	c.complete(root)
}

func env(name, otherwise string) string {
	if text := os.Getenv(name); text != "" {
		return text
	}
	return otherwise
}

// client is the HTTP client and the options of a service's client.
func (c *CLI) client() (*http.Client, string, connect.ClientOption, error) {
	if c.output != "table" && c.output != "json" {
		return nil, "", nil, usage("--output %q: want table or json", c.output)
	}
	token := c.token
	if token == "" {
		token = os.Getenv("LOCKSTEP_TOKEN")
	}
	if token == "" && c.TokenFile != "" {
		if raw, err := os.ReadFile(filepath.Clean(c.TokenFile)); err == nil {
			token = strings.TrimSpace(string(raw))
		}
	}
	if token == "" {
		return nil, "", nil, usage("no token: give --token or LOCKSTEP_TOKEN; a standalone process keeps one in %s", c.TokenFile)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = c.timeout // an answer in parts may take longer: a preview of a million contacts does
	return &http.Client{Transport: bearer{token, transport}}, strings.TrimRight(c.server, "/"), connect.WithProtoJSON(), nil
}

// bearer sends the token with every request.
type bearer struct {
	token     string
	transport *http.Transport
}

// RoundTrip adds the token.
func (b bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+b.token)
	return b.transport.RoundTrip(r)
}

// print writes an answer: as JSON, or as a table of rows whose first is the
// head.
func (c *CLI) print(cmd *cobra.Command, answer proto.Message, rows [][]string) error {
	if c.output == "json" {
		raw, err := protojson.MarshalOptions{Multiline: true, EmitDefaultValues: true}.Marshal(answer)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), string(raw))
		return err
	}
	return table(cmd.OutOrStdout(), rows)
}

// many is a number of things in words: many(n, "contact is", "contacts are").
func many[N int | int32 | int64](n N, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}

func table(w io.Writer, rows [][]string) error {
	out := tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(out, strings.Join(row, "\t"))
	}
	return out.Flush()
}

// usageError is a wrong command line.
type usageError struct{ message string }

// Error says what is wrong.
func (e usageError) Error() string { return e.message }

func usage(format string, args ...any) error { return usageError{fmt.Sprintf(format, args...)} }

// ExitCode is the exit code that an error of a command means.
func ExitCode(err error) int {
	var wrong usageError
	var told *connect.Error
	switch {
	case err == nil:
		return 0
	case errors.As(err, &wrong):
		return 2
	case errors.As(err, &told):
		for _, detail := range told.Details() {
			if value, err := detail.Value(); err == nil {
				if _, ok := value.(*consolev1.Refusal); ok {
					return 3
				}
			}
		}
	}
	return 1
}
