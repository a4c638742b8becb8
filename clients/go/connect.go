package mailmesh

import (
	"context"
	"crypto/tls"
	"errors"
	"net/url"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/metadata"
)

const (
	callTimeout    = 30 * time.Second
	mostReplyBytes = 16 << 20
)

// Connect returns a connection to the edge, for Follow and for the stubs of the contract.
//
// address is https://host[:port], or http://host[:port] on a network that is trusted. The API key goes with every call. A unary
// call without a deadline gets one of 30 seconds. options come after the client's own.
func Connect(address, key string, options ...grpc.DialOption) (*grpc.ClientConn, error) {
	edge, err := url.Parse(address)
	if err != nil || (edge.Scheme != "http" && edge.Scheme != "https") || edge.Hostname() == "" || strings.Trim(edge.Path, "/") != "" {
		return nil, errors.New("the URL must be http://host[:port] or https://host[:port]")
	}
	if key == "" || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, errors.New("the API key must be one word of printable ASCII characters")
	}
	host, security := edge.Host, insecure.NewCredentials()
	if edge.Scheme == "https" {
		security = credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12})
	}
	if edge.Port() == "" {
		host += map[string]string{"http": ":80", "https": ":443"}[edge.Scheme]
	}
	return grpc.NewClient(host, append(ownOptions(security, key), options...)...)
}

func ownOptions(security credentials.TransportCredentials, key string) []grpc.DialOption {
	withKey := func(ctx context.Context) context.Context {
		return metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+key)
	}
	unary := func(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		if _, has := ctx.Deadline(); !has {
			limited, cancel := context.WithTimeout(ctx, callTimeout)
			defer cancel()
			ctx = limited
		}
		return invoke(withKey(ctx), method, request, reply, connection, options...)
	}
	stream := func(ctx context.Context, description *grpc.StreamDesc, connection *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
		return open(withKey(ctx), description, connection, method, options...)
	}
	return []grpc.DialOption{
		grpc.WithTransportCredentials(security),
		grpc.WithUnaryInterceptor(unary),
		grpc.WithStreamInterceptor(stream),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(mostReplyBytes)),
		// The pauses between attempts are the follower's own.
		grpc.WithDisableRetry(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 2, Jitter: 0.2, MaxDelay: time.Second},
			MinConnectTimeout: 10 * time.Second,
		}),
		// Finds out about a connection that died in silence.
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: time.Minute, Timeout: 20 * time.Second}),
	}
}
