//! A client that behaves like the API server: HTTP/1.1 over TLS, at most 25 idle connections kept,
//! and a request is sent anew only when its connection turned out to be closed before anything was
//! written.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, SupportedProtocolVersion};
use sandbox_injector::certs::CertificateAndKey;
use sandbox_injector::tls::provider;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::certificates::{NAME, der, roots};

/// How many idle connections the API server keeps for one webhook.
const IDLE: usize = 25;

/// An answer with its whole body.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A pool of connections to one address.
pub struct Client {
    pub address: SocketAddr,
    config: Arc<ClientConfig>,
    idle: Mutex<Vec<SendRequest<Full<Bytes>>>>,
}

/// Why there was no answer.
#[derive(Debug)]
pub enum Failure {
    /// No connection could be made.
    Connect(io::Error),
    /// The connection broke after the request was on its way.
    Request(hyper::Error),
}

impl Answer {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn closes(&self) -> bool {
        self.headers
            .get("connection")
            .is_some_and(|value| value == "close")
    }
}

/// A client's TLS configuration that trusts `ca`, and shows a certificate if it has one.
pub fn config(ca: &CertificateAndKey, identity: Option<&CertificateAndKey>) -> Arc<ClientConfig> {
    config_for(ca, identity, rustls::ALL_VERSIONS)
}

/// The same for some versions of TLS alone.
pub fn config_for(
    ca: &CertificateAndKey,
    identity: Option<&CertificateAndKey>,
    versions: &[&'static SupportedProtocolVersion],
) -> Arc<ClientConfig> {
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(roots(ca));
    let mut config = match identity {
        Some(CertificateAndKey { certificate, key }) => {
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            builder
                .with_client_auth_cert(der(certificate), key)
                .unwrap()
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Arc::new(config)
}

/// A TLS connection by itself.
pub async fn connect(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    TlsConnector::from(Arc::clone(config))
        .connect(ServerName::try_from(NAME).unwrap(), tcp)
        .await
}

/// The leaf certificate that a new handshake shows.
pub async fn certificate(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
) -> io::Result<CertificateDer<'static>> {
    let stream = connect(address, config).await?;
    Ok(stream.get_ref().1.peer_certificates().unwrap()[0]
        .clone()
        .into_owned())
}

/// A review to `path`.
pub fn post(path: &str, body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post(path)
        .header("host", NAME)
        .header("content-type", "application/json")
        .header("accept", "application/json, */*")
        .header("accept-encoding", "gzip")
        .body(Full::new(body.into()))
        .unwrap()
}

impl Client {
    pub fn new(address: SocketAddr, config: Arc<ClientConfig>) -> Self {
        Self {
            address,
            config,
            idle: Mutex::default(),
        }
    }

    /// One to the same server, with connections of its own.
    pub fn another(&self) -> Self {
        Self::new(self.address, Arc::clone(&self.config))
    }

    /// Sends a request on a kept connection, or on a new one.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, Failure> {
        loop {
            let kept = self.idle.lock().unwrap().pop();
            let fresh = kept.is_none();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.open().await.map_err(Failure::Connect)?,
            };
            if sender.ready().await.is_err() && !fresh {
                continue;
            }
            match sender.send_request(request.clone()).await {
                Ok(answer) => {
                    let (head, body) = answer.into_parts();
                    let body = body.collect().await.map_err(Failure::Request)?.to_bytes();
                    let answer = Answer {
                        status: head.status,
                        headers: head.headers,
                        body,
                    };
                    if !answer.closes() {
                        let mut idle = self.idle.lock().unwrap();
                        if idle.len() < IDLE {
                            idle.push(sender);
                        }
                    }
                    return Ok(answer);
                }
                // Nothing was written: the API server's client takes another connection, too.
                Err(error) if error.is_canceled() && !fresh => {}
                Err(error) => return Err(Failure::Request(error)),
            }
        }
    }

    /// Posts to `/mutate` and expects an answer.
    pub async fn mutate(&self, body: impl Into<Bytes>) -> Answer {
        self.send(post("/mutate", body)).await.unwrap()
    }

    /// Closes what is kept.
    pub fn forget(&self) {
        self.idle.lock().unwrap().clear();
    }

    async fn open(&self) -> io::Result<SendRequest<Full<Bytes>>> {
        let stream = connect(self.address, &self.config).await?;
        let (sender, connection) = handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// A GET over plain HTTP on a connection of its own.
pub async fn get(address: SocketAddr, path: &str) -> Answer {
    try_get(address, path).await.unwrap()
}

/// The same, when there may be nobody.
pub async fn try_get(
    address: SocketAddr,
    path: &str,
) -> Result<Answer, Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", "localhost")
        .body(Full::<Bytes>::default())?;
    let (head, body) = sender.send_request(request).await?.into_parts();
    Ok(Answer {
        status: head.status,
        headers: head.headers,
        body: body.collect().await?.to_bytes(),
    })
}
