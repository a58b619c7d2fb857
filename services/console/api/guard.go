package api

import (
	"context"
	"errors"
	"log/slog"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"lockstep.internal/pkg/contact"
	"lockstep.internal/proto/console/v1/consolev1connect"
	"lockstep.internal/services/console/access"
	"lockstep.internal/services/console/contacts"
)

// need is who may call a procedure.
type need struct {
	role access.Role
	// anywhere marks a call about no single tenant: whoever has the role in
	// some tenant may make it, and the service shows what that one may see.
	anywhere bool
}

// needs are all procedures; one that is missing here is refused to everybody.
// A request about a tenant names it in its field "tenant"; one that names none
// is about the installation, and needs the role everywhere.
var needs = map[string]need{
	// Whoever is recognised may know who that is; the room of access looks more
	// closely at whose roles a caller may see and give.
	consolev1connect.AccessServiceWhoAmIProcedure:        {},
	consolev1connect.AccessServiceListPeopleProcedure:    {access.Operator, true},
	consolev1connect.AccessServiceSavePersonProcedure:    {access.Operator, true},
	consolev1connect.AccessServiceDisablePersonProcedure: {access.Operator, false},
	consolev1connect.AccessServiceResetPasswordProcedure: {access.Operator, false},
	consolev1connect.AccessServiceListTokensProcedure:    {access.Operator, true},
	consolev1connect.AccessServiceCreateTokenProcedure:   {access.Operator, true},
	consolev1connect.AccessServiceRevokeTokenProcedure:   {access.Operator, true},
	consolev1connect.AccessServiceListAuditProcedure:     {access.Administrator, false},

	consolev1connect.TenantServiceListTenantsProcedure:       {access.Viewer, true},
	consolev1connect.TenantServiceGetTenantProcedure:         {access.Viewer, false},
	consolev1connect.TenantServiceSaveTenantProcedure:        {access.Operator, false},
	consolev1connect.TenantServiceConnectHubSpotProcedure:    {access.Administrator, false},
	consolev1connect.TenantServiceConnectAlowareProcedure:    {access.Administrator, false},
	consolev1connect.TenantServiceDisconnectProcedure:        {access.Administrator, false},
	consolev1connect.TenantServiceTestConnectionProcedure:    {access.Administrator, false},
	consolev1connect.TenantServiceGetCapabilitiesProcedure:   {access.Viewer, false},
	consolev1connect.TenantServiceGetHubSpotConsentProcedure: {access.Administrator, false},
	consolev1connect.TenantServiceListAppsProcedure:          {access.Administrator, true},
	consolev1connect.TenantServiceSaveAppProcedure:           {access.Operator, false},
	consolev1connect.TenantServiceRemoveAppProcedure:         {access.Operator, false},
	consolev1connect.SyncServiceStartSyncProcedure:           {access.Operator, false},
	consolev1connect.SyncServiceListSyncsProcedure:           {access.Viewer, false},
	consolev1connect.SyncServiceWatchSyncProcedure:           {access.Viewer, false},
	consolev1connect.SyncServiceSyncContactProcedure:         {access.Agent, false},
	consolev1connect.MappingServiceGetMappingProcedure:       {access.Viewer, false},
	consolev1connect.MappingServiceEditMappingProcedure:      {access.Administrator, false},
	consolev1connect.MappingServicePreviewMappingProcedure:   {access.Administrator, false},
	consolev1connect.MappingServiceListVersionsProcedure:     {access.Viewer, false},
	consolev1connect.MappingServiceCompareVersionsProcedure:  {access.Viewer, false},
	consolev1connect.MappingServiceListPropertiesProcedure:   {access.Viewer, false},
	consolev1connect.MappingServiceCreatePropertyProcedure:   {access.Administrator, false},
	consolev1connect.MappingServiceListUsersProcedure:        {access.Viewer, false},
	consolev1connect.MappingServiceListDispositionsProcedure: {access.Viewer, false},

	consolev1connect.ContactServiceFindContactsProcedure:      {role: access.Viewer},
	consolev1connect.ContactServiceGetContactProcedure:        {role: access.Viewer},
	consolev1connect.ContactServiceListConflictsProcedure:     {role: access.Viewer},
	consolev1connect.ContactServiceExplainContactProcedure:    {role: access.Viewer},
	consolev1connect.ContactServiceChooseCounterpartProcedure: {role: access.Agent},
	consolev1connect.ContactServiceAnswerReviewProcedure:      {role: access.Agent},
	consolev1connect.ContactServiceSetDispositionProcedure:    {role: access.Agent},
	consolev1connect.ContactServiceEraseContactProcedure:      {role: access.Operator},

	consolev1connect.InboxServiceListProblemGroupsProcedure:  {role: access.Viewer},
	consolev1connect.InboxServiceListProblemsProcedure:       {role: access.Viewer},
	consolev1connect.InboxServiceRetryProblemsProcedure:      {role: access.Administrator},
	consolev1connect.InboxServiceDismissProblemsProcedure:    {role: access.Administrator},
	consolev1connect.InboxServiceListDeadLettersProcedure:    {role: access.Viewer},
	consolev1connect.InboxServiceReplayDeadLettersProcedure:  {role: access.Operator},
	consolev1connect.InboxServiceDiscardDeadLettersProcedure: {role: access.Operator},
	consolev1connect.SyncServiceGetSyncProcedure:             {access.Viewer, false},
	consolev1connect.SyncServicePauseSyncProcedure:           {access.Operator, false},
	consolev1connect.SyncServiceResumeSyncProcedure:          {access.Operator, false},
	consolev1connect.SyncServiceCancelSyncProcedure:          {access.Operator, false},
	consolev1connect.SyncServiceListRepairsProcedure:         {access.Viewer, false},
	consolev1connect.SyncServiceGetScheduleProcedure:         {access.Viewer, false},
	consolev1connect.SyncServiceSetScheduleProcedure:         {access.Operator, false},

	consolev1connect.AlertServiceListAlertTargetsProcedure:  {role: access.Viewer},
	consolev1connect.AlertServiceListAlertsProcedure:        {role: access.Viewer},
	consolev1connect.AlertServiceSaveAlertTargetProcedure:   {role: access.Administrator},
	consolev1connect.AlertServiceRemoveAlertTargetProcedure: {role: access.Administrator},
	consolev1connect.AlertServiceTestAlertTargetProcedure:   {role: access.Administrator},
	consolev1connect.HoldServiceListHoldsProcedure:          {role: access.Viewer},
	consolev1connect.HoldServiceGetHoldProcedure:            {role: access.Viewer},
	consolev1connect.HoldServiceAnswerHoldProcedure:         {role: access.Administrator},

	consolev1connect.PipelineServiceGetPipelineProcedure:   {access.Viewer, true},
	consolev1connect.PipelineServiceWatchPipelineProcedure: {access.Viewer, true},
}

// guard is the interceptor that recognises callers, checks every request
// against tenant and role, and writes down the changes.
type guard struct {
	access *access.Service
	logger *slog.Logger
	// people finds the key of the contact that a request names.
	people *contacts.Contacts
}

// WrapUnary guards calls with one request and one answer.
func (g *guard) WrapUnary(next connect.UnaryFunc) connect.UnaryFunc {
	return func(ctx context.Context, request connect.AnyRequest) (connect.AnyResponse, error) {
		ctx, err := g.recognise(ctx, request.Header().Get("Authorization"))
		if err != nil {
			return nil, err
		}
		return g.call(ctx, request, next)
	}
}

// call makes one call, and writes it down if it may change something.
func (g *guard) call(ctx context.Context, request connect.AnyRequest, next connect.UnaryFunc) (connect.AnyResponse, error) {
	procedure := request.Spec().Procedure
	outcome := errors.New("the call panicked")
	denied := allow(ctx, procedure, request.Any())
	if changes(request.Spec()) {
		recording, err := g.record(ctx, procedure, request.Any(), denied == nil)
		if err != nil {
			return nil, err
		}
		defer func() { recording.Done(ctx, outcome) }()
	}
	if denied != nil {
		outcome = access.ErrDenied
		return nil, denied
	}
	answer, err := next(ctx, request)
	outcome = err
	return answer, g.refused(ctx, procedure, err)
}

// WrapStreamingClient changes nothing: this is a server.
func (g *guard) WrapStreamingClient(next connect.StreamingClientFunc) connect.StreamingClientFunc {
	return next
}

// WrapStreamingHandler guards calls that stream their answer. None of them
// changes anything, which a test holds, so that none is written down.
func (g *guard) WrapStreamingHandler(next connect.StreamingHandlerFunc) connect.StreamingHandlerFunc {
	return func(ctx context.Context, conn connect.StreamingHandlerConn) error {
		ctx, err := g.recognise(ctx, conn.RequestHeader().Get("Authorization"))
		if err != nil {
			return err
		}
		return g.refused(ctx, conn.Spec().Procedure, next(ctx, &guardedConn{conn, ctx}))
	}
}

// guardedConn checks each request as it is received.
type guardedConn struct {
	connect.StreamingHandlerConn
	ctx context.Context // of the call; a connection lives no longer
}

// Receive gives the next request that the caller may make.
func (c *guardedConn) Receive(request any) error {
	if err := c.StreamingHandlerConn.Receive(request); err != nil {
		return err
	}
	return allow(c.ctx, c.Spec().Procedure, request)
}

func (g *guard) recognise(ctx context.Context, header string) (context.Context, error) {
	token, ok := strings.CutPrefix(header, "Bearer ")
	if !ok || token == "" {
		return ctx, connect.NewError(connect.CodeUnauthenticated, errors.New("send a token: Authorization: Bearer <token>"))
	}
	caller, err := g.access.Bearer(ctx, token)
	switch {
	case errors.Is(err, access.ErrUnknown):
		return ctx, connect.NewError(connect.CodeUnauthenticated, err)
	case err != nil:
		g.logger.ErrorContext(ctx, "a caller could not be looked up", "error", err)
		return ctx, connect.NewError(connect.CodeUnavailable, errors.New("who calls could not be looked up just now; try again"))
	}
	return access.With(ctx, caller), nil
}

// allow checks one request against the table.
func allow(ctx context.Context, procedure string, request any) error {
	caller := access.From(ctx)
	need, known := needs[procedure]
	tenant, named := tenantOf(request)
	switch {
	case !known:
	case named && caller.May(tenant, need.role):
		return nil
	case !named && caller.Everywhere >= need.role:
		return nil
	case !named && need.anywhere:
		for id := range caller.Tenants {
			if caller.May(id, need.role) {
				return nil
			}
		}
	}
	// The same words whether the tenant exists or not.
	return connect.NewError(connect.CodePermissionDenied, errors.New("you may not do this here: it needs the role "+need.role.String()))
}

// tenantOf is the tenant that a request names.
func tenantOf(request any) (contact.Tenant, bool) {
	message, ok := request.(proto.Message)
	if !ok {
		return "", false
	}
	field := message.ProtoReflect().Descriptor().Fields().ByName("tenant")
	if field == nil || field.Kind() != protoreflect.StringKind {
		return "", false
	}
	return contact.Tenant(message.ProtoReflect().Get(field).String()), true
}
