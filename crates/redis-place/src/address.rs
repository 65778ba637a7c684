//! Reads an address: one server, sentinels, or servers of a cluster.

use redis::{Client, ClientTlsConfig, ConnectionAddr, ConnectionInfo, IntoConnectionInfo as _, TlsCertificates};
use rustls::crypto::{CryptoProvider, aws_lc_rs};

use crate::{PlaceError, RedisTls};

const NO_ADDRESS: &str = "the address is none";
const NO_NAME: &str = "the address of sentinels ends in /NAME, that of the master";

/// What an address says.
pub(crate) enum Address {
    Server(Host),
    Sentinels { sentinels: Vec<Host>, name: String, server: Host },
    Cluster(Vec<Host>),
}

/// A server with all that is needed to connect to it.
#[derive(Clone)]
pub(crate) struct Host(ConnectionInfo);

impl Host {
    /// `with` says who connects, and by which certificates.
    fn new(url: &str, with: &RedisTls) -> Result<Self, PlaceError> {
        let info = url.into_connection_info().map_err(|_| PlaceError::Settings(NO_ADDRESS))?;
        match info.addr() {
            // No certificate would be checked.
            ConnectionAddr::TcpTls { insecure: true, .. } => {
                Err(PlaceError::Settings("certificates are always checked"))
            }
            ConnectionAddr::TcpTls { .. } => {
                // redis takes the provider of the process, and panics where there is none to choose.
                if CryptoProvider::get_default().is_none() {
                    drop(aws_lc_rs::default_provider().install_default());
                }
                let client_tls = with.client.clone();
                let client_tls =
                    client_tls.map(|(client_cert, client_key)| ClientTlsConfig { client_cert, client_key });
                let certificates = TlsCertificates { client_tls, root_cert: with.ca.clone() };
                let client = Client::build_with_tls(info, certificates);
                let client = client.map_err(|_| PlaceError::Settings("the certificates cannot be read"))?;
                Ok(Self(client.get_connection_info().clone()))
            }
            // Certificates without TLS are a mistake.
            _ if !with.is_empty() => Err(PlaceError::Settings("certificates go with rediss")),
            _ => Ok(Self(info)),
        }
    }

    /// The same login and certificates at another place.
    pub(crate) fn at(&self, place: &(String, u16)) -> Self {
        let (host, port) = place.clone();
        let addr = match self.0.addr().clone() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => {
                ConnectionAddr::TcpTls { host, port, insecure, tls_params }
            }
            _ => ConnectionAddr::Tcp(host, port),
        };
        Self(self.0.clone().set_addr(addr))
    }

    /// Where it is; nowhere for a socket.
    pub(crate) fn place(&self) -> (String, u16) {
        match self.0.addr() {
            ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => (host.clone(), *port),
            _ => (String::new(), 0),
        }
    }

    pub(crate) fn info(&self) -> ConnectionInfo {
        self.0.clone()
    }
}

/// A user and a password.
type Login<'a> = Option<(&'a str, &'a str)>;

/// # Errors
/// [`PlaceError::Settings`].
pub(crate) fn parse(url: &str, tls: &RedisTls, sentinel_login: Login<'_>) -> Result<Address, PlaceError> {
    let (scheme, rest) = url.split_once("://").ok_or(PlaceError::Settings(NO_ADDRESS))?;
    match scheme {
        "redis+sentinel" => sentinels("redis", rest, tls, sentinel_login),
        "rediss+sentinel" => sentinels("rediss", rest, tls, sentinel_login),
        "redis+cluster" => cluster("redis", rest, tls),
        "rediss+cluster" => cluster("rediss", rest, tls),
        _ => Ok(Address::Server(Host::new(url, tls)?)),
    }
}

fn sentinels(scheme: &str, rest: &str, tls: &RedisTls, login: Login<'_>) -> Result<Address, PlaceError> {
    let (authority, path) = rest.split_once('/').ok_or(PlaceError::Settings(NO_NAME))?;
    let (name, database) = path.split_once('/').unwrap_or((path, ""));
    if name.is_empty() {
        return Err(PlaceError::Settings(NO_NAME));
    }
    let (user, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    // The place is the master's, which only the sentinels know.
    let server = Host::new(&format!("{scheme}://{user}@localhost/{database}"), tls)?;
    let sentinel = |host: &str| {
        let has_port = host.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let port = if has_port { "" } else { ":26379" };
        let host = Host::new(&format!("{scheme}://{host}{port}"), tls)?;
        Ok(login.map_or(host.clone(), |(user, password)| host.login(user, password)))
    };
    let sentinels: Result<Vec<Host>, PlaceError> = hosts.split(',').map(sentinel).collect();
    Ok(Address::Sentinels { sentinels: sentinels?, name: name.to_owned(), server })
}

fn cluster(scheme: &str, rest: &str, tls: &RedisTls) -> Result<Address, PlaceError> {
    let (login, hosts) = rest.rsplit_once('@').unwrap_or(("", rest));
    let hosts = hosts.trim_end_matches('/');
    // A cluster has one database.
    if hosts.contains('/') {
        return Err(PlaceError::Settings("a cluster has one database, without a number"));
    }
    let hosts = hosts.split(',');
    let hosts: Result<Vec<Host>, PlaceError> =
        hosts.map(|host| Host::new(&format!("{scheme}://{login}@{host}"), tls)).collect();
    Ok(Address::Cluster(hosts?))
}

impl Host {
    fn login(&self, user: &str, password: &str) -> Self {
        let settings = self.0.redis_settings().clone().set_password(password);
        let settings = if user.is_empty() { settings } else { settings.set_username(user) };
        Self(self.0.clone().set_redis_settings(settings))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(url: &str) -> Result<Address, PlaceError> {
        parse(url, &RedisTls::default(), None)
    }

    #[test]
    fn one_string_says_every_kind_of_place() {
        assert!(matches!(read("redis://u:p@host:1/2").unwrap(), Address::Server(host) if host.place().1 == 1));
        let Address::Sentinels { sentinels, name, server } =
            read("redis+sentinel://u:p%40@one,two:7,[::1]/main/3").unwrap()
        else {
            panic!("another kind")
        };
        let places: Vec<_> = sentinels.iter().map(Host::place).collect();
        assert_eq!(places, [("one".into(), 26379), ("two".into(), 7), ("::1".into(), 26379)]);
        assert_eq!(name, "main");
        let info = server.info();
        let settings = info.redis_settings();
        assert_eq!((settings.username(), settings.password(), settings.db()), (Some("u"), Some("p@"), 3));
        assert!(sentinels.iter().all(|host| host.info().redis_settings().password().is_none()));
        let Address::Cluster(hosts) = read("rediss+cluster://:p@one:1,two:2/").unwrap() else { panic!("another kind") };
        assert_eq!(hosts.iter().map(Host::place).collect::<Vec<_>>(), [("one".into(), 1), ("two".into(), 2)]);
        assert!(hosts.iter().all(|host| host.info().redis_settings().password() == Some("p")));
    }

    #[test]
    fn what_names_no_place_is_refused() {
        for url in [
            "",
            "host",
            "http://host",
            "redis+sentinel://one",
            "redis+sentinel://one/",
            "redis+sentinel:///main",
            "redis+cluster://",
            "redis+cluster://a,,b",
            "redis+cluster://a,b/1",
            "rediss://host#insecure",
            "rediss+cluster://host#insecure",
        ] {
            assert!(matches!(read(url), Err(PlaceError::Settings(_))), "{url}");
        }
        let tls = RedisTls::default().ca("no certificate");
        assert!(matches!(parse("redis://host", &tls, None), Err(PlaceError::Settings(_))));
    }
}
