package internal.mailmesh.client;

import internal.mailmesh.processor.v1.Event;
import internal.mailmesh.processor.v1.EventServiceGrpc;
import internal.mailmesh.processor.v1.StreamEventsResponse;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.BlockingClientCall;
import java.io.IOException;
import java.nio.channels.ClosedByInterruptException;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/** Follows the event stream through outages. One thread uses a follower. */
public final class Follower {
  /**
   * Processes an event.
   *
   * @param <E> what it throws, which ends following
   */
  @FunctionalInterface
  public interface Process<E extends Exception> {
    /**
     * Processes an event.
     *
     * @param event an event of a kind that this client knows
     * @throws E the event was not processed and is to be delivered again, with the same id
     */
    void accept(Event event) throws E;
  }

  private final Connection connection;
  private final CursorStore store;
  private final FollowOptions options;
  private String cursor = "";
  private int failures;

  /**
   * Creates a follower.
   *
   * @param connection the connection to the edge, which stays open when following ends
   * @param store where the cursor is kept
   * @param options how to follow
   */
  public Follower(Connection connection, CursorStore store, FollowOptions options) {
    this.connection = connection;
    this.store = store;
    this.options = options;
  }

  /**
   * Gives the events behind the saved cursor to {@code process}, for ever. It saves the cursor of an event after {@code
   * process} returned: an event whose processing failed is delivered again, with the same id. An interrupt of the thread ends
   * following. Safe to call again after it ended.
   *
   * @param process processes an event
   * @param <E> what processing throws
   * @throws E processing failed
   * @throws MailmeshException a failure that another attempt does not fix, such as a refused key or a lost cursor
   * @throws IOException the cursor could not be loaded or saved
   * @throws InterruptedException the thread was interrupted
   * @throws IllegalStateException the connection was closed
   */
  public <E extends Exception> void follow(Process<E> process)
      throws E, MailmeshException, IOException, InterruptedException {
    cursor = store.load();
    if (cursor.isEmpty()) {
      cursor = options.start();
    }
    failures = 0;
    while (!connection.isClosed()) {
      failures++;
      Optional<MailmeshException> failure = followOnce(process);
      if (failure.isPresent()) {
        cursor = options.cursorAfter(failure.get(), cursor);
      }
      TimeUnit.NANOSECONDS.sleep(options.pause(failures, failure).toNanos());
      connection.connectAtOnce();
    }
    throw new IllegalStateException("the connection was closed");
  }

  /** Opens the stream once, and reads until it ends, fails or falls silent; returns its failure. */
  private <E extends Exception> Optional<MailmeshException> followOnce(Process<E> process)
      throws E, IOException, InterruptedException {
    BlockingClientCall<?, StreamEventsResponse> stream =
        EventServiceGrpc.newBlockingV2Stub(connection.channel()).streamEvents(options.request(cursor));
    try {
      for (var step = read(stream); step != null; step = read(stream)) {
        failures = 1;
        process(step, process);
      }
      return Optional.empty();
    } catch (Failed failed) {
      return Optional.of(MailmeshException.of(failed.getCause()));
    } catch (TimeoutException silent) {
      return Optional.empty();
    } finally {
      // Frees the stream when it has not ended by itself.
      stream.cancel("the follower stops reading", null);
    }
  }

  /** Waits for the next step; the time of processing does not count. Returns null at the end of the stream. */
  private StreamEventsResponse read(BlockingClientCall<?, StreamEventsResponse> stream)
      throws Failed, TimeoutException, InterruptedException {
    try {
      return stream.read(options.silence().toNanos(), TimeUnit.NANOSECONDS);
    } catch (StatusException | StatusRuntimeException e) {
      throw new Failed(e);
    }
  }

  private <E extends Exception> void process(StreamEventsResponse step, Process<E> process)
      throws E, IOException, InterruptedException {
    String position = "";
    switch (step.getStepCase()) {
      case EVENT -> {
        position = step.getEvent().getPosition();
        if (step.getEvent().getKindCase() != Event.KindCase.KIND_NOT_SET) {
          process.accept(step.getEvent());
        }
      }
      case HEARTBEAT -> position = step.getHeartbeat().getPosition();
      default -> {
        // A step of a later version: it moves nothing.
      }
    }
    if (!position.isEmpty()) {
      save(position);
      cursor = position;
    }
  }

  /** Saves a cursor. Java closes a file under an interrupted thread and reports a failure of the file. */
  private void save(String position) throws IOException, InterruptedException {
    try {
      store.save(position);
    } catch (ClosedByInterruptException e) {
      Thread.interrupted();
      throw (InterruptedException) new InterruptedException("interrupted while the cursor was saved").initCause(e);
    }
  }

  /** The stream failed; a failure of processing with the same type must not be taken for it. */
  private static final class Failed extends Exception {
    private static final long serialVersionUID = 1;

    Failed(Exception cause) {
      super(cause);
    }
  }
}
