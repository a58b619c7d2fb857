// Package api serves the console's functions to other programs and to the
// command line: Connect and gRPC, as proto/console/v1 describes them.
//
// It translates and guards; it decides nothing. Each service has a file.
package api

import (
	"log/slog"
	"net/http"

	"connectrpc.com/connect"

	"lockstep.internal/pkg/roster"
	"lockstep.internal/proto/console/v1/consolev1connect"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/alerts"
	"lockstep.internal/services/console/contacts"
	"lockstep.internal/services/console/holds"
	"lockstep.internal/services/console/inbox"
	"lockstep.internal/services/console/mappings"
	"lockstep.internal/services/console/pipeline"
	"lockstep.internal/services/console/syncs"
	"lockstep.internal/services/console/tenants"
)

// Config is what the API stands on.
type Config struct {
	Access *access.Service
	Roster *roster.Roster
	Logger *slog.Logger

	Tenants  *tenants.Tenants
	Mappings *mappings.Mappings
	Syncs    *syncs.Syncs
	Contacts *contacts.Contacts
	Inbox    *inbox.Inbox
	Alerts   *alerts.Alerts
	Holds    *holds.Holds
	Pipeline *pipeline.Pipeline
}

// Prefixes are the beginnings of the paths that Handler serves, one per service.
func Prefixes() []string {
	var all []string
	for _, name := range []string{
		consolev1connect.TenantServiceName, consolev1connect.MappingServiceName, consolev1connect.SyncServiceName,
		consolev1connect.ContactServiceName, consolev1connect.InboxServiceName, consolev1connect.AccessServiceName,
		consolev1connect.PipelineServiceName, consolev1connect.AlertServiceName, consolev1connect.HoldServiceName,
	} {
		all = append(all, "/"+name+"/")
	}
	return all
}

// Handler serves all services of the API below "/console.v1.".
func Handler(config Config) http.Handler {
	options := connect.WithHandlerOptions(
		connect.WithInterceptors(&guard{config.Access, config.Logger, config.Contacts}),
		connect.WithReadMaxBytes(4<<20),
	)
	mux := http.NewServeMux()
	mux.Handle(consolev1connect.NewAccessServiceHandler(&accessService{config.Access}, options))
	mux.Handle(consolev1connect.NewTenantServiceHandler(&tenantService{config}, options))
	mux.Handle(consolev1connect.NewMappingServiceHandler(&mappingService{config}, options))
	mux.Handle(consolev1connect.NewSyncServiceHandler(&syncService{config}, options))
	mux.Handle(consolev1connect.NewContactServiceHandler(&people{config, config.Contacts}, options))
	mux.Handle(consolev1connect.NewInboxServiceHandler(&errorInbox{config, config.Inbox}, options))
	mux.Handle(consolev1connect.NewPipelineServiceHandler(&pipelineService{config}, options))
	mux.Handle(consolev1connect.NewAlertServiceHandler(&alertService{config.Alerts}, options))
	mux.Handle(consolev1connect.NewHoldServiceHandler(&holdService{config}, options))
	return mux
}
