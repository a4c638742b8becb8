package internal.mailmesh.client;

import internal.mailmesh.processor.v1.EventFilter;
import internal.mailmesh.processor.v1.EventView;
import internal.mailmesh.processor.v1.StreamEventsRequest;
import io.grpc.Status;
import java.time.Duration;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ThreadLocalRandom;
import java.util.function.Consumer;

/**
 * How to follow the stream. {@link #standard} follows all events that the key may see, from the earliest on.
 *
 * @param start where a follower without a saved cursor starts: {@code earliest} or {@code latest}
 * @param filter the events to receive
 * @param view how much of each event to receive
 * @param heartbeatSeconds the longest silence that is asked for, 1 to 60. After three times as long without a message the
 *     stream counts as broken
 * @param firstPause the pause after the first failure in a row; it doubles up to {@code longestPause}
 * @param longestPause the bound of the pauses
 * @param onGap called when events after the cursor are gone, before reading continues from the oldest one. Without it, the
 *     failure ends following
 */
public record FollowOptions(
    String start,
    EventFilter filter,
    EventView view,
    int heartbeatSeconds,
    Duration firstPause,
    Duration longestPause,
    Optional<Consumer<MailmeshException>> onGap) {
  private static final Set<String> PASSING =
      Set.of(
          "OVERLOADED",
          "RATE_LIMITED",
          "READER_TOO_SLOW",
          "SERVICE_UNAVAILABLE",
          "SHUTTING_DOWN",
          "STORE_UNAVAILABLE");
  // The codes of a broken connection or of a proxy on the way, as far as no reason says more.
  private static final Set<Status.Code> BROKEN =
      EnumSet.of(
          Status.Code.ABORTED,
          Status.Code.CANCELLED,
          Status.Code.DEADLINE_EXCEEDED,
          Status.Code.INTERNAL,
          Status.Code.UNKNOWN);
  private static final Duration LONGEST_RETRY_AFTER = Duration.ofMinutes(5);
  private static final int MOST_DOUBLINGS = 16;

  /** Returns the options of a follower of all events. */
  public static FollowOptions standard() {
    return new FollowOptions(
        "earliest",
        EventFilter.getDefaultInstance(),
        EventView.EVENT_VIEW_BASIC,
        15,
        Duration.ofMillis(200),
        Duration.ofSeconds(30),
        Optional.empty());
  }

  /** Returns these options with another start. */
  public FollowOptions withStart(String value) {
    return new FollowOptions(value, filter, view, heartbeatSeconds, firstPause, longestPause, onGap);
  }

  /** Returns these options with another filter. */
  public FollowOptions withFilter(EventFilter value) {
    return new FollowOptions(start, value, view, heartbeatSeconds, firstPause, longestPause, onGap);
  }

  /** Returns these options with another view. */
  public FollowOptions withView(EventView value) {
    return new FollowOptions(start, filter, value, heartbeatSeconds, firstPause, longestPause, onGap);
  }

  /** Returns these options with another silence, in seconds. */
  public FollowOptions withHeartbeatSeconds(int value) {
    return new FollowOptions(start, filter, view, value, firstPause, longestPause, onGap);
  }

  /** Returns these options with other pauses. */
  public FollowOptions withPauses(Duration first, Duration longest) {
    return new FollowOptions(start, filter, view, heartbeatSeconds, first, longest, onGap);
  }

  /** Returns these options with a callback for gaps. */
  public FollowOptions withOnGap(Consumer<MailmeshException> value) {
    return new FollowOptions(
        start, filter, view, heartbeatSeconds, firstPause, longestPause, Optional.of(value));
  }

  Duration silence() {
    return Duration.ofSeconds(3L * heartbeatSeconds);
  }

  StreamEventsRequest request(String cursor) {
    return StreamEventsRequest.newBuilder()
        .setCursor(cursor)
        .setFilter(filter)
        .setView(view)
        .setHeartbeatSeconds(heartbeatSeconds)
        .build();
  }

  /** Returns the pause after this many failures in a row; mailmesh may ask for a longer one. */
  Duration pause(int failures, Optional<MailmeshException> failure) {
    Duration doubled = firstPause.multipliedBy(1L << Math.min(failures - 1, MOST_DOUBLINGS));
    double share = 0.5 + ThreadLocalRandom.current().nextDouble() / 2;
    Duration pause = Duration.ofNanos((long) (least(doubled, longestPause).toNanos() * share));
    Duration asked = failure.flatMap(MailmeshException::retryAfter).orElse(Duration.ZERO);
    Duration bounded = least(asked, LONGEST_RETRY_AFTER);
    return pause.compareTo(bounded) > 0 ? pause : bounded;
  }

  /**
   * Returns the cursor with which to open the stream again.
   *
   * @throws MailmeshException another attempt does not fix the failure
   */
  String cursorAfter(MailmeshException failure, String cursor) throws MailmeshException {
    if (failure.isCursorLost()) {
      if (onGap.isEmpty() || failure.oldestCursor().isEmpty()) {
        throw failure;
      }
      onGap.get().accept(failure);
      return failure.oldestCursor().get();
    }
    if (isPassing(failure)) {
      return cursor;
    }
    throw failure;
  }

  private static boolean isPassing(MailmeshException failure) {
    return PASSING.contains(failure.reason())
        || failure.code() == Status.Code.UNAVAILABLE
        || failure.retryAfter().isPresent()
        || (failure.reason().isEmpty() && BROKEN.contains(failure.code()));
  }

  private static Duration least(Duration one, Duration other) {
    return one.compareTo(other) < 0 ? one : other;
  }
}
