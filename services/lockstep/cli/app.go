package cli

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	consolev1 "lockstep.internal/proto/console/v1"
	"lockstep.internal/proto/console/v1/consolev1connect"
)

func (c *CLI) apps() *cobra.Command {
	group := group("app", "Apps in HubSpot, which send webhooks and give access by OAuth")
	group.AddCommand(c.appList(), c.appSave(), c.appRemove())
	return group
}

func appRows(apps ...*consolev1.App) [][]string {
	rows := [][]string{{"APP", "CLIENT ID", "SECRET", "SIGNATURES", "TENANTS", "WEBHOOK ADDRESS", "REDIRECT ADDRESS"}}
	for _, a := range apps {
		secret, signatures := "missing", "version 3"
		if a.GetHasSecret() {
			secret = "kept"
		}
		if a.GetSignatureV1() {
			signatures = "version 3, or 1"
		}
		rows = append(rows, []string{
			fmt.Sprint(a.GetAppId()), a.GetClientId(), secret, signatures, strings.Join(a.GetTenants(), " "), a.GetWebhookUrl(), a.GetRedirectUrl(),
		})
	}
	return rows
}

func (c *CLI) appList() *cobra.Command {
	return c.onTenant("list", "List the apps, with what to enter at them in HubSpot", 0, func(cmd *cobra.Command, client consolev1connect.TenantServiceClient, _ []string) error {
		answer, err := client.ListApps(cmd.Context(), &consolev1.ListAppsRequest{})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, appRows(answer.GetApps()...))
	})
}

// appID reads the id of an app.
func appID(text string) (int64, error) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 {
		return 0, usage("%q: want the app's id, a number that HubSpot shows at the app", text)
	}
	return id, nil
}

// secretFrom reads a secret from a file, or from the standard input for "-", so
// that it stands in no list of processes and no history of a shell.
func secretFrom(cmd *cobra.Command, file string) (string, error) {
	if file == "" {
		return "", nil
	}
	const most = 64 << 10
	in := cmd.InOrStdin()
	if file != "-" {
		opened, err := os.Open(filepath.Clean(file))
		if err != nil {
			return "", usage("%v", err)
		}
		defer opened.Close()
		in = opened
	}
	raw, err := io.ReadAll(io.LimitReader(in, most))
	if err != nil {
		return "", fmt.Errorf("read a secret: %w", err)
	}
	secret := strings.TrimSpace(string(raw))
	if secret == "" {
		return "", usage("%s holds no secret", file)
	}
	return secret, nil
}

func (c *CLI) appSave() *cobra.Command {
	r := &consolev1.SaveAppRequest{}
	var secret string
	cmd := c.onTenant("save APP", "Add an app, or change one", 1, func(cmd *cobra.Command, client consolev1connect.TenantServiceClient, args []string) error {
		var err error
		if r.AppId, err = appID(args[0]); err != nil {
			return err
		}
		if r.ClientSecret, err = secretFrom(cmd, secret); err != nil {
			return err
		}
		known, err := client.ListApps(cmd.Context(), &consolev1.ListAppsRequest{})
		if err != nil {
			return err
		}
		for _, a := range known.GetApps() {
			if a.GetAppId() != r.AppId {
				continue
			}
			if !cmd.Flags().Changed("signature-v1") {
				r.SignatureV1 = a.GetSignatureV1()
			}
			if !cmd.Flags().Changed("base-url") {
				r.BaseUrl = a.GetBaseUrl()
			}
		}
		answer, err := client.SaveApp(cmd.Context(), r)
		if err != nil {
			return err
		}
		return c.print(cmd, answer, appRows(answer.GetApp()))
	})
	f := cmd.Flags()
	f.StringVar(&r.ClientId, "client-id", "", "client id; empty keeps the present one")
	f.StringVar(&secret, "client-secret-file", "", "file with the client secret, or - for the standard input; empty keeps the present one")
	f.BoolVar(&r.SignatureV1, "signature-v1", false, "take webhooks signed by version 1 too, which proves neither time nor address")
	f.StringVar(&r.BaseUrl, "base-url", "", "where consents and tokens are asked for, where it is not HubSpot's own")
	return cmd
}

func (c *CLI) appRemove() *cobra.Command {
	return c.onTenant("remove APP", "Forget an app that no connected tenant uses", 1, func(cmd *cobra.Command, client consolev1connect.TenantServiceClient, args []string) error {
		id, err := appID(args[0])
		if err != nil {
			return err
		}
		answer, err := client.RemoveApp(cmd.Context(), &consolev1.RemoveAppRequest{AppId: id})
		if err != nil {
			return err
		}
		return c.print(cmd, answer, [][]string{{"the app is forgotten; its webhooks are refused from now on"}})
	})
}
