package internal.mailmesh.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/** A call that failed. */
public final class MailmeshException extends Exception {
  private static final long serialVersionUID = 1;
  private static final String DOMAIN = "mailmesh";
  private static final Set<String> CURSOR_LOST = Set.of("CURSOR_EXPIRED", "CURSOR_EPOCH_CHANGED");
  private static final Set<String> KEY_REFUSED = Set.of("API_KEY_INVALID", "KEY_REVOKED");

  private final Status.Code code;
  private final String reason;
  private final HashMap<String, String> metadata;
  private final Duration retryAfter;

  private MailmeshException(Throwable cause, Status status, Details details) {
    super(
        (details.reason.isEmpty() ? status.getCode().name() : details.reason)
            + ": "
            + Optional.ofNullable(status.getDescription()).orElse(""),
        cause);
    this.code = status.getCode();
    this.reason = details.reason;
    this.metadata = details.metadata;
    this.retryAfter = details.retryAfter;
  }

  /**
   * Returns the typed form of a failed call.
   *
   * @param failure what a stub of the contract threw: {@code StatusException} or {@code StatusRuntimeException}
   */
  public static MailmeshException of(Throwable failure) {
    return new MailmeshException(failure, Status.fromThrowable(failure), Details.of(failure));
  }

  /**
   * Returns a name of the catalogue {@code ErrorReason} without its prefix, or of a later one. It is empty when the failure is
   * not mailmesh's own: a broken connection, a proxy on the way.
   */
  public String reason() {
    return reason;
  }

  /** Returns the code of gRPC. */
  public Status.Code code() {
    return code;
  }

  /** Returns the values that the reason's entry in the catalogue names. */
  public Map<String, String> metadata() {
    return Map.copyOf(metadata);
  }

  /** Returns the pause that mailmesh asks for, if it asks for one. */
  public Optional<Duration> retryAfter() {
    return Optional.ofNullable(retryAfter);
  }

  /** Returns whether events after the cursor are gone; reading can continue from {@link #oldestCursor}. */
  public boolean isCursorLost() {
    return CURSOR_LOST.contains(reason);
  }

  /** Returns the oldest cursor that is still served, if the cursor is lost. */
  public Optional<String> oldestCursor() {
    return Optional.ofNullable(metadata.get("oldest_cursor")).filter(cursor -> !cursor.isEmpty());
  }

  /** Returns whether the API key is unknown, expired or revoked. */
  public boolean isKeyRefused() {
    return KEY_REFUSED.contains(reason);
  }

  /** What the details of a status say. Details that are none come from a proxy on the way: the code says all then. */
  private static final class Details {
    private String reason = "";
    private HashMap<String, String> metadata = new HashMap<>();
    private Duration retryAfter;

    static Details of(Throwable failure) {
      Details found = new Details();
      com.google.rpc.Status status = StatusProto.fromThrowable(failure);
      if (status != null) {
        for (Any detail : status.getDetailsList()) {
          found.read(detail);
        }
      }
      return found;
    }

    private void read(Any detail) {
      try {
        if (detail.is(ErrorInfo.class) && reason.isEmpty()) {
          ErrorInfo info = detail.unpack(ErrorInfo.class);
          if (info.getDomain().equals(DOMAIN)) {
            reason = info.getReason();
            metadata = new HashMap<>(info.getMetadataMap());
          }
        } else if (detail.is(RetryInfo.class)) {
          var delay = detail.unpack(RetryInfo.class).getRetryDelay();
          Duration asked = Duration.ofSeconds(delay.getSeconds(), delay.getNanos());
          retryAfter = asked.isNegative() ? Duration.ZERO : asked;
        }
      } catch (InvalidProtocolBufferException e) {
        // Bytes that only claim to be this detail: the code says all.
        return;
      }
    }
  }
}
