/**
 * Client of mailmesh: it follows the event stream through outages, tells failures by their reason, and verifies webhooks.
 *
 * <p>The messages and stubs of the contract are in the package {@code internal.mailmesh:contract}.
 */
package internal.mailmesh.client;
