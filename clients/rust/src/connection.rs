//! Connects to the edge by its URL and an API key.

use std::fmt;
use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::interceptor::InterceptedService;
use tonic::service::Interceptor;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status};

const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// The URL or the API key is malformed.
#[derive(Debug)]
pub struct UrlError(&'static str);

impl fmt::Display for UrlError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0)
    }
}

impl std::error::Error for UrlError {}

/// Adds the API key to each call, and a deadline to unary ones.
#[derive(Clone)]
pub struct Key {
    header: MetadataValue<Ascii>,
    timeout: Option<Duration>,
}

impl Interceptor for Key {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let metadata = request.metadata_mut();
        metadata.insert("authorization", self.header.clone());
        if let (Some(timeout), false) = (self.timeout, metadata.contains_key("grpc-timeout")) {
            request.set_timeout(timeout);
        }
        Ok(request)
    }
}

/// A channel that sends the API key with each call.
pub type Keyed = InterceptedService<Channel, Key>;

/// A connection to the edge.
#[derive(Clone)]
pub struct Connection {
    channel: Channel,
    header: MetadataValue<Ascii>,
}

impl Connection {
    /// Returns a connection, which is opened at the first call and opened again when it breaks. It needs a runtime of tokio.
    ///
    /// `url` is `https://host[:port]`, or `http://host[:port]` on a network that is trusted. The API key goes with every call.
    pub fn open(url: &str, key: &str) -> Result<Self, UrlError> {
        const URL: UrlError = UrlError("the URL must be http://host[:port] or https://host[:port]");
        const KEY: UrlError =
            UrlError("the API key must be one word of printable ASCII characters");
        let plain = url.strip_prefix("http://");
        let host = plain.or_else(|| url.strip_prefix("https://")).ok_or(URL)?;
        if host.trim_end_matches('/').is_empty()
            || host.trim_end_matches('/').contains(['/', '?', '#', '@'])
        {
            return Err(URL);
        }
        if key.is_empty() || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(KEY);
        }
        let mut endpoint = Endpoint::from_shared(url.to_owned())
            .map_err(|_| URL)?
            .connect_timeout(Duration::from_secs(10))
            // Finds out about a connection that died in silence.
            .http2_keep_alive_interval(Duration::from_secs(60))
            .keep_alive_timeout(Duration::from_secs(20));
        if plain.is_none() {
            endpoint = endpoint
                .tls_config(ClientTlsConfig::new().with_native_roots())
                .map_err(|_| URL)?;
        }
        let mut header: MetadataValue<Ascii> = format!("Bearer {key}").parse().map_err(|_| KEY)?;
        header.set_sensitive(true);
        Ok(Self {
            channel: endpoint.connect_lazy(),
            header,
        })
    }

    /// Returns the channel for unary calls. A call without a timeout gets one of 30 seconds.
    pub fn calls(&self) -> Keyed {
        self.keyed(Some(CALL_TIMEOUT))
    }

    /// Returns the channel for streams, which have no deadline.
    pub fn streams(&self) -> Keyed {
        self.keyed(None)
    }

    fn keyed(&self, timeout: Option<Duration>) -> Keyed {
        let key = Key {
            header: self.header.clone(),
            timeout,
        };
        InterceptedService::new(self.channel.clone(), key)
    }
}
