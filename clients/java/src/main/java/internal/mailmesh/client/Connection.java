package internal.mailmesh.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.MethodDescriptor.MethodType;
import java.net.URI;
import java.net.URISyntaxException;
import java.util.concurrent.TimeUnit;

/** A connection to the edge. It is opened at the first call and opened again when it breaks; threads may share it. */
public final class Connection implements AutoCloseable {
  private static final int MOST_REPLY_BYTES = 16 << 20;
  private static final int CALL_TIMEOUT_SECONDS = 30;

  private final ManagedChannel channel;

  private Connection(ManagedChannel channel) {
    this.channel = channel;
  }

  /**
   * Returns a connection, for {@link Follower} and for the stubs of the contract.
   *
   * @param url {@code https://host[:port]}, or {@code http://host[:port]} on a network that is trusted
   * @param key the API key, which goes with every call
   * @throws IllegalArgumentException the URL or the key is malformed
   */
  public static Connection open(String url, String key) {
    URI edge = parse(url);
    if (key.isEmpty() || !key.chars().allMatch(c -> c > ' ' && c <= '~')) {
      throw new IllegalArgumentException("the API key must be one word of printable ASCII characters");
    }
    boolean isPlain = edge.getScheme().equals("http");
    int port = edge.getPort() >= 0 ? edge.getPort() : isPlain ? 80 : 443;
    ManagedChannelBuilder<?> builder = ManagedChannelBuilder.forAddress(edge.getHost(), port);
    if (isPlain) {
      builder.usePlaintext();
    }
    return new Connection(
        builder
            .intercept(new KeyOfCalls("Bearer " + key))
            .maxInboundMessageSize(MOST_REPLY_BYTES)
            // The pauses between attempts are the follower's own.
            .disableRetry()
            // Finds out about a connection that died in silence.
            .keepAliveTime(60, TimeUnit.SECONDS)
            .keepAliveTimeout(20, TimeUnit.SECONDS)
            .build());
  }

  /** Returns the channel for the stubs of the contract. A unary call without a deadline gets one of 30 seconds. */
  public Channel channel() {
    return channel;
  }

  /** Ends the connection, its calls and its followers. Safe to call again. */
  @Override
  public void close() {
    channel.shutdownNow();
  }

  boolean isClosed() {
    return channel.isShutdown();
  }

  /** Lets the next call connect at once: a channel of gRPC waits up to two minutes after a failure. */
  void connectAtOnce() {
    channel.resetConnectBackoff();
  }

  private static URI parse(String url) {
    String form = "the URL must be http://host[:port] or https://host[:port]";
    try {
      URI edge = new URI(url);
      boolean hasScheme = "http".equals(edge.getScheme()) || "https".equals(edge.getScheme());
      boolean isBare =
          edge.getRawUserInfo() == null && edge.getRawQuery() == null && edge.getRawFragment() == null;
      if (!hasScheme || !isBare || edge.getHost() == null || !edge.getRawPath().matches("/?")) {
        throw new IllegalArgumentException(form);
      }
      return edge;
    } catch (URISyntaxException e) {
      // The text of this exception repeats the URL, in which a password may stand.
      throw new IllegalArgumentException(form);
    }
  }

  /** Adds the API key to each call, and a deadline to unary ones. */
  private record KeyOfCalls(String header) implements ClientInterceptor {
    private static final Metadata.Key<String> AUTHORIZATION =
        Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

    @Override
    public <Q, R> ClientCall<Q, R> interceptCall(MethodDescriptor<Q, R> method, CallOptions options, Channel next) {
      boolean needsDeadline = method.getType() == MethodType.UNARY && options.getDeadline() == null;
      CallOptions limited =
          needsDeadline ? options.withDeadlineAfter(CALL_TIMEOUT_SECONDS, TimeUnit.SECONDS) : options;
      return new SimpleForwardingClientCall<>(next.newCall(method, limited)) {
        @Override
        public void start(Listener<R> listener, Metadata headers) {
          headers.put(AUTHORIZATION, header);
          super.start(listener, headers);
        }
      };
    }

    /** Returns a text without the key. */
    @Override
    public String toString() {
      return "KeyOfCalls[***]";
    }
  }
}
