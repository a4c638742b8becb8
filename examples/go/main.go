// Follow is a consumer of mailmesh in Go: it lists tenants, follows events so that none is lost, and writes once.
//
//	export MAILMESH_URL=http://127.0.0.1:8080 MAILMESH_API_KEY=...
//	go run . tenants
//	go run . tenant TENANT_ID
//	go run . tail CURSOR_FILE [HOW_MANY]
//	go run . reply TENANT_ID MESSAGE_ID TEXT
//	go run . meet CALENDAR_ID SUBJECT START END TIME_ZONE
//	go run . accept CALENDAR_EVENT_ID
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"strconv"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	vault "mailmesh.internal/gen/go/mailmesh/vault/v1"
)

func main() {
	if err := run(context.Background(), os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, explain(err))
		os.Exit(1)
	}
}

// run executes the command line.
func run(ctx context.Context, arguments []string) error {
	connection, err := connect()
	if err != nil {
		return err
	}
	defer connection.Close()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+os.Getenv("MAILMESH_API_KEY"))
	switch {
	case len(arguments) == 1 && arguments[0] == "tenants":
		return listTenants(ctx, connection)
	case len(arguments) == 2 && arguments[0] == "tenant":
		return showTenant(ctx, connection, arguments[1])
	case len(arguments) == 2 && arguments[0] == "tail":
		return tail(ctx, connection, arguments[1], math.MaxInt)
	case len(arguments) == 3 && arguments[0] == "tail":
		howMany, err := strconv.Atoi(arguments[2])
		if err != nil {
			return err
		}
		return tail(ctx, connection, arguments[1], howMany)
	case len(arguments) == 4 && arguments[0] == "reply":
		return reply(ctx, connection, arguments[1], arguments[2], arguments[3])
	case len(arguments) == 6 && arguments[0] == "meet":
		return meet(ctx, connection, arguments[1], arguments[2], arguments[3], arguments[4], arguments[5])
	case len(arguments) == 2 && arguments[0] == "accept":
		return accept(ctx, connection, arguments[1])
	}
	return errors.New("usage: follow tenants | tenant TENANT_ID | tail CURSOR_FILE [HOW_MANY] | reply TENANT_ID MESSAGE_ID TEXT" +
		" | meet CALENDAR_ID SUBJECT START END TIME_ZONE | accept CALENDAR_EVENT_ID")
}

// connect returns a connection to the edge.
func connect() (*grpc.ClientConn, error) {
	address := os.Getenv("MAILMESH_URL")
	if address == "" {
		address = "http://127.0.0.1:8080"
	}
	edge, err := url.Parse(address)
	if err != nil {
		return nil, err
	}
	security := insecure.NewCredentials()
	if edge.Scheme == "https" {
		security = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	return grpc.NewClient(edge.Host, grpc.WithTransportCredentials(security))
}

// listTenants prints every tenant that the key may see, page by page.
func listTenants(ctx context.Context, connection *grpc.ClientConn) error {
	client := vault.NewTenantServiceClient(connection)
	request := &vault.ListTenantsRequest{}
	for {
		page, err := client.ListTenants(ctx, request)
		if err != nil {
			return err
		}
		for _, tenant := range page.GetTenants() {
			state := strings.ToLower(strings.TrimPrefix(tenant.GetStatus().String(), "TENANT_STATUS_"))
			fmt.Printf("%s\t%s\t%s\t%s\n", tenant.GetTenantId(), tenant.GetProvider(), state, tenant.GetAddress())
		}
		if page.GetNextPageToken() == "" {
			return nil
		}
		request.PageToken = page.GetNextPageToken()
	}
}

// showTenant prints one tenant.
func showTenant(ctx context.Context, connection *grpc.ClientConn, tenantID string) error {
	client := vault.NewTenantServiceClient(connection)
	answer, err := client.GetTenant(ctx, &vault.GetTenantRequest{TenantId: tenantID})
	if err != nil {
		return err
	}
	fmt.Printf("%s\t%s\n", answer.GetTenant().GetTenantId(), answer.GetTenant().GetAddress())
	return nil
}

// errorInfo returns why a call failed; its reason is one of the catalogue, or empty when the failure is not mailmesh's own.
func errorInfo(err error) *errdetails.ErrorInfo {
	for _, detail := range status.Convert(err).Details() {
		if info, ok := detail.(*errdetails.ErrorInfo); ok {
			return info
		}
	}
	return &errdetails.ErrorInfo{}
}

// explain returns the advice for failures that a person can fix.
func explain(err error) string {
	info := errorInfo(err)
	switch info.GetReason() {
	case "TENANT_NOT_FOUND":
		return "there is no tenant " + info.GetMetadata()["tenant_id"]
	case "API_KEY_INVALID", "KEY_REVOKED":
		return "the API key is not good (any more)"
	case "":
		return err.Error()
	}
	return info.GetReason() + ": " + status.Convert(err).Message()
}
