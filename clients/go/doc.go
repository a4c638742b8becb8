// Package mailmesh is the client of mailmesh: it follows the event stream through outages, tells failures by their reason, and
// verifies webhooks. The messages and stubs of the contract are in mailmesh.internal/gen/go.
package mailmesh
