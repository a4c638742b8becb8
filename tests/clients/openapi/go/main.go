// Prints all that a client generated from the OpenAPI document has decoded, encoded again, as one JSON object.
// Arguments: the id of a tenant, and an id of which there is no tenant.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"

	"github.com/google/uuid"

	"mailmesh.internal/tests/clients/openapi/api"
)

func main() {
	if err := run(context.Background(), uuid.MustParse(os.Args[1]), uuid.MustParse(os.Args[2])); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, tenant, absent uuid.UUID) error {
	key := "Bearer " + os.Getenv("MAILMESH_API_KEY")
	authorize := func(_ context.Context, request *http.Request) error {
		request.Header.Set("authorization", key)
		return nil
	}
	client, err := api.NewClientWithResponses(os.Getenv("MAILMESH_URL"), api.WithRequestEditorFn(authorize))
	if err != nil {
		return err
	}
	view, types := api.EventServiceListEventsParamsViewEVENTVIEWFULL, []string{"mail.*"}
	events, err := client.EventServiceListEventsWithResponse(ctx, &api.EventServiceListEventsParams{
		FilterTenantIds: &[]uuid.UUID{tenant}, FilterEventTypes: &types, View: &view,
	})
	if err != nil {
		return err
	}
	first := (*events.JSON200.Events)[0]
	event, err := client.EventServiceGetEventWithResponse(ctx, uuid.MustParse(*first.Mail.EventId), nil)
	if err != nil {
		return err
	}
	name := "Ünï"
	renamed, err := client.TenantServiceUpdateTenantWithResponse(ctx, tenant, api.UpdateTenantRequest{DisplayName: &name})
	if err != nil {
		return err
	}
	if _, err = client.TenantServiceDisableTenantWithResponse(ctx, tenant, api.DisableTenantRequest{}); err != nil {
		return err
	}
	enabled, err := client.TenantServiceEnableTenantWithResponse(ctx, tenant, api.EnableTenantRequest{})
	if err != nil {
		return err
	}
	refusal, err := client.TenantServiceGetTenantWithResponse(ctx, absent)
	if err != nil {
		return err
	}
	found, err := client.TenantServiceGetTenantWithResponse(ctx, tenant)
	if err != nil {
		return err
	}
	ofTenant := &api.SubscriptionServiceListSubscriptionsParams{TenantId: &tenant}
	subscriptions, err := client.SubscriptionServiceListSubscriptionsWithResponse(ctx, ofTenant)
	if err != nil {
		return err
	}
	pipeline, err := client.ProcessorServiceGetPipelineStatusWithResponse(ctx, nil)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"tenant": found.JSON200, "subscriptions": subscriptions.JSON200, "events": events.JSON200, "event": event.JSON200,
		"renamed": renamed.JSON200, "enabled": enabled.JSON200, "pipeline": pipeline.JSON200, "refusal": refusal.JSON4XX,
	})
}
