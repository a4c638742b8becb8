import internal.mailmesh.client.Connection;
import internal.mailmesh.client.CursorStore;
import internal.mailmesh.client.FileCursorStore;
import internal.mailmesh.client.FollowOptions;
import internal.mailmesh.client.Follower;
import internal.mailmesh.client.MailmeshException;
import internal.mailmesh.client.MemoryCursorStore;
import internal.mailmesh.client.WebhookVerifier;
import internal.mailmesh.processor.v1.Event;
import internal.mailmesh.processor.v1.EventView;
import internal.mailmesh.vault.v1.GetTenantRequest;
import internal.mailmesh.vault.v1.GetTenantResponse;
import internal.mailmesh.vault.v1.TenantServiceGrpc;
import io.grpc.StatusException;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;

/** Runs the cases of the conformance suite with the client. Cases come from the standard input, one a line. */
final class Conformance {
  private static final Duration FIRST_PAUSE = Duration.ofMillis(50);
  private static final Duration LONGEST_PAUSE = Duration.ofMillis(200);

  /** The event behind the last one to process. */
  private static final class Enough extends Exception {
    private static final long serialVersionUID = 1;
  }

  private final String name;
  private final String[] fields;

  private Conformance(String[] fields) {
    this.name = fields[1];
    this.fields = fields;
  }

  public static void main(String[] arguments) throws IOException, InterruptedException {
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      Conformance one = new Conformance(line.split("\t", -1));
      try {
        one.answer();
      } catch (MailmeshException failure) {
        one.sayFailure(failure);
      }
      one.say("end");
    }
  }

  private void answer() throws IOException, InterruptedException, MailmeshException {
    switch (fields[0]) {
      case "follow" -> follow();
      case "tenant" -> tenant();
      case "verify" -> verify();
      default -> throw new IllegalArgumentException("unknown command " + fields[0]);
    }
  }

  private void follow() throws IOException, InterruptedException, MailmeshException {
    FollowOptions options =
        FollowOptions.standard()
            .withView(EventView.EVENT_VIEW_BODY)
            .withHeartbeatSeconds(1)
            .withPauses(FIRST_PAUSE, LONGEST_PAUSE);
    if (fields[6].equals("continue")) {
      options = options.withOnGap(lost -> say("gap", lost.reason(), lost.oldestCursor().orElse("")));
    }
    CursorStore store = store(fields[4]);
    int[] left = {Integer.parseInt(fields[5])};
    try (Connection connection = Connection.open(fields[2], fields[3])) {
      new Follower(connection, store, options)
          .follow(
              event -> {
                if (left[0] == 0) {
                  throw new Enough();
                }
                left[0]--;
                sayEvent(event);
              });
    } catch (Enough enough) {
      // All events of the case were processed.
    } finally {
      say("cursor", store.load());
    }
  }

  private static CursorStore store(String place) {
    String where = place.substring(place.indexOf(':') + 1);
    return place.startsWith("file:") ? new FileCursorStore(Path.of(where)) : new MemoryCursorStore(where);
  }

  private void tenant() throws MailmeshException {
    try (Connection connection = Connection.open(fields[2], fields[3])) {
      GetTenantResponse reply =
          TenantServiceGrpc.newBlockingV2Stub(connection.channel())
              .getTenant(GetTenantRequest.newBuilder().setTenantId(fields[4]).build());
      say("tenant", reply.getTenant().getTenantId(), String.valueOf(reply.getTenant().getStatusValue()));
    } catch (StatusException failure) {
      throw MailmeshException.of(failure);
    }
  }

  private void verify() {
    WebhookVerifier.Headers headers = new WebhookVerifier.Headers(fields[3], fields[4], fields[5]);
    byte[] body = Base64.getDecoder().decode(fields[6]);
    List<String> keys = fields[7].isEmpty() ? List.of() : List.of(fields[7].split(" "));
    say(WebhookVerifier.verify(keys, headers, body, Long.parseLong(fields[2])));
  }

  private void say(String... words) {
    System.out.println(name + "\t" + String.join("\t", words));
  }

  private void sayEvent(Event event) {
    int length = event.getMail().getMessage().getBody().getText().length();
    say("event", event.getMail().getEventId(), event.getMail().getEventType(), String.valueOf(length));
  }

  private void sayFailure(MailmeshException failure) {
    String kind = failure.isCursorLost() ? "cursor_lost" : failure.isKeyRefused() ? "key_refused" : "failed";
    String reason = failure.reason().isEmpty() ? failure.code().name() : failure.reason();
    String pause = failure.retryAfter().map(asked -> String.valueOf(asked.toSeconds())).orElse("");
    String metadata =
        failure.metadata().entrySet().stream()
            .sorted(Map.Entry.comparingByKey())
            .map(entry -> entry.getKey() + "=" + entry.getValue())
            .collect(Collectors.joining(","));
    say("error", kind, reason, pause, metadata);
  }
}
