//! A connection that is made again when it broke off, and errors that say what to do.

use std::path::Path;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio_postgres::config::{Config, Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, NoTls};
use truepair_core::error::{Error, Result};

use crate::address::Address;
use crate::causes::causes;
use crate::tls::Tls;

/// Parameters of an address that say how to connect.
const PARAMETERS: [&str; 6] = [
    "table",
    "host",
    "port",
    "sslmode",
    "sslrootcert",
    "connect_timeout",
];

/// Attempts at one piece of work; waits between them double.
const ATTEMPTS: u32 = 4;
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// A connection to one database, used by one caller at a time.
pub(crate) struct Connection {
    runtime: Runtime,
    config: Config,
    /// `None` where `sslmode=disable`.
    tls: Option<Tls>,
    client: Option<Client>,
    place: String,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Connection").field(&self.place).finish()
    }
}

impl Connection {
    /// Connects at the first work. `variables` may bring `PGUSER` and `PGPASSWORD`.
    ///
    /// # Errors
    /// If the address says something that PostgreSQL cannot do.
    pub(crate) fn new(address: &Address, variables: &[(String, String)]) -> Result<Self> {
        address.check_parameters(&PARAMETERS)?;
        let place = address.shown().to_owned();
        let wrong = |problem: String| {
            let remedy = "write postgres://USER@HOST:PORT/DATABASE?table=NAME";
            Error::argument(format!("{place}: {problem}"), remedy)
        };
        let mut config = Config::new();
        config.application_name("truepair");
        let variable = |name: &str| {
            let found = variables.iter().find(|(given, _)| given == name);
            found.map(|(_, value)| value.as_str())
        };
        config.user(address.user().or(variable("PGUSER")).unwrap_or("postgres"));
        if let Some(password) = address.password().or(variable("PGPASSWORD")) {
            config.password(password);
        }
        if !address.path().is_empty() {
            config.dbname(address.path());
        }
        add_hosts(&mut config, address).map_err(wrong)?;
        let seconds = address.parameter("connect_timeout").unwrap_or("10");
        let seconds = seconds
            .parse()
            .map_err(|_| wrong(format!("connect_timeout={seconds}, expected whole seconds")))?;
        config.connect_timeout(Duration::from_secs(seconds));
        let mode = match address.parameter("sslmode").unwrap_or("prefer") {
            "disable" => SslMode::Disable,
            "prefer" => SslMode::Prefer,
            "require" | "verify-ca" | "verify-full" => SslMode::Require,
            other => {
                let known = "expected disable, prefer, require, verify-ca or verify-full";
                return Err(wrong(format!("sslmode={other}, {known}")));
            }
        };
        // A socket on this machine is encrypted by nobody.
        let is_local = |host: &Host| matches!(host, Host::Unix(_));
        let mode = if config.get_hosts().iter().all(is_local) {
            SslMode::Disable
        } else {
            mode
        };
        config.ssl_mode(mode);
        let tls = match mode {
            SslMode::Disable => None,
            _ => Some(Tls::new(address.parameter("sslrootcert").map(Path::new))?),
        };
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|cause| wrong(format!("no network: {cause}")))?;
        Ok(Self {
            runtime,
            config,
            tls,
            client: None,
            place,
        })
    }

    /// The address for messages.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// Does `work`, which gives the same when it is done twice; once more where the connection broke off.
    ///
    /// # Errors
    /// Of the server, or if it cannot be reached.
    pub(crate) fn run<T>(
        &mut self,
        work: impl AsyncFn(&mut Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T> {
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            let done = self.attempt(&work);
            match done {
                Ok(done) => return Ok(done),
                Err(error) => {
                    let is_passing = passes(&error);
                    if is_passing {
                        self.client = None;
                    }
                    if !is_passing || attempt == ATTEMPTS {
                        return Err(self.failure(&error));
                    }
                }
            }
            self.runtime
                .block_on(async { tokio::time::sleep(wait).await });
            wait *= 2;
        }
        unreachable!("the loop ends by its last attempt")
    }

    fn attempt<T>(
        &mut self,
        work: &impl AsyncFn(&mut Client) -> Result<T, tokio_postgres::Error>,
    ) -> Result<T, tokio_postgres::Error> {
        let mut client = match self.client.take() {
            Some(client) if !client.is_closed() => client,
            _ => self.connect()?,
        };
        let done = self.runtime.block_on(work(&mut client));
        self.client = Some(client);
        done
    }

    fn connect(&self) -> Result<Client, tokio_postgres::Error> {
        self.runtime.block_on(async {
            // What travels is driven beside the work; its errors come back through the client.
            match &self.tls {
                Some(tls) => {
                    let (client, wire) = self.config.connect(tls.clone()).await?;
                    drop(tokio::spawn(async move { drop(wire.await) }));
                    Ok(client)
                }
                None => {
                    let (client, wire) = self.config.connect(NoTls).await?;
                    drop(tokio::spawn(async move { drop(wire.await) }));
                    Ok(client)
                }
            }
        })
    }

    fn failure(&self, error: &tokio_postgres::Error) -> Error {
        let (problem, remedy) = match error.as_db_error() {
            Some(of_server) => {
                let mut problem = of_server.message().to_owned();
                if let Some(detail) = of_server.detail() {
                    problem = format!("{problem}: {detail}");
                }
                (problem, remedy_of(of_server.code(), of_server.hint()))
            }
            None => (causes(error), remedy_of_network(error)),
        };
        Error::argument(format!("{}: {problem}", self.place), remedy)
    }
}

/// What the server's code asks for.
fn remedy_of(code: &SqlState, hint: Option<&str>) -> String {
    let remedy = match *code {
        SqlState::INVALID_PASSWORD | SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
            "check the user in the address and the password in PGPASSWORD"
        }
        SqlState::INVALID_CATALOG_NAME => "check the name of the database in the address",
        SqlState::UNDEFINED_TABLE => "put records there first",
        SqlState::INVALID_SCHEMA_NAME => "make the schema in the database first",
        SqlState::INSUFFICIENT_PRIVILEGE => "let the database's owner grant it, or make it for you",
        SqlState::UNDEFINED_FILE | SqlState::FEATURE_NOT_SUPPORTED => {
            "install pgvector on the server, then CREATE EXTENSION vector"
        }
        _ => hint.unwrap_or("see the server's log"),
    };
    remedy.to_owned()
}

fn remedy_of_network(error: &tokio_postgres::Error) -> String {
    let text = causes(error);
    let remedy = if text.contains("certificate") {
        "name the server's certificate with sslrootcert=FILE, or go without encryption with sslmode=disable"
    } else if text.contains("password missing") {
        "set PGPASSWORD"
    } else if text.contains("TLS") || text.contains("tls") {
        "the server may not speak it: sslmode=disable goes without encryption"
    } else {
        "check the address, and that the server runs"
    };
    remedy.to_owned()
}

fn add_hosts(config: &mut Config, address: &Address) -> Result<(), String> {
    let of_authority = address.host().split(',').filter(|host| !host.is_empty());
    let mut hosts: Vec<(&str, Option<&str>)> = of_authority.map(host_and_port).collect();
    let port = address.parameter("port");
    if let Some(host) = address.parameter("host") {
        hosts.push((host, None));
    }
    if hosts.is_empty() {
        hosts.push(("localhost", None));
    }
    for (host, own) in hosts {
        config.host(host);
        let port = own.or(port).unwrap_or("5432");
        let port = port
            .parse()
            .map_err(|_| format!("port {port:?} is not a number below 65536"))?;
        config.port(port);
    }
    Ok(())
}

fn host_and_port(text: &str) -> (&str, Option<&str>) {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        return (host, rest.strip_prefix(':'));
    }
    match text.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    }
}

/// Whether another attempt may go well.
fn passes(error: &tokio_postgres::Error) -> bool {
    match error.as_db_error() {
        // The server stops, starts, or has no room for one more at the moment.
        Some(of_server) => ["57P", "53", "08", "40"]
            .iter()
            .any(|class| of_server.code().code().starts_with(class)),
        None => {
            let text = causes(error);
            let lasts = [
                "certificate",
                "password",
                "TLS",
                "serializ",
                "deserializ",
                "config",
            ];
            !lasts.iter().any(|word| text.contains(word))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection(address: &str) -> Result<Connection> {
        Connection::new(&Address::parse(address)?, &[])
    }

    #[test]
    fn hosts_and_ports_are_those_of_the_address() {
        let of = |text: &str| {
            let connection = connection(text).unwrap();
            format!(
                "{:?} {:?}",
                connection.config.get_hosts(),
                connection.config.get_ports()
            )
        };
        assert_eq!(
            of("postgres://a:1,[::1]:2/db?table=t"),
            r#"[Tcp("a"), Tcp("::1")] [1, 2]"#
        );
        assert_eq!(
            of("postgres://u@/db?host=/run/x&port=7&table=t&sslmode=disable"),
            r#"[Unix("/run/x")] [7]"#
        );
        assert_eq!(of("postgres:///db?table=t"), r#"[Tcp("localhost")] [5432]"#);
    }

    #[test]
    fn mistakes_in_the_address_are_told() {
        let error = |text: &str| connection(text).unwrap_err().to_string();
        assert!(error("postgres://h:x/db").contains("port \"x\""));
        assert!(error("postgres://h/db?sslmode=off").contains("sslmode=off"));
        assert!(error("postgres://h/db?tabel=t").contains("\"tabel\""));
        assert!(error("postgres://h/db?connect_timeout=1s").contains("1s"));
        assert!(error("postgres://h/db?sslrootcert=/none.pem").contains("/none.pem"));
    }

    #[test]
    fn nobody_there_is_told_without_the_password() {
        let mut connection = connection("postgres://me:secret@127.0.0.1:1/db?table=t").unwrap();
        let work = async |client: &mut Client| client.batch_execute("SELECT 1").await;
        let error = connection.run(work).unwrap_err().to_string();
        assert!(error.contains("postgres://me@127.0.0.1:1/db"), "{error}");
        assert!(
            error.contains("refused") && error.contains("server runs"),
            "{error}"
        );
        assert!(!error.contains("secret") && !format!("{connection:?}").contains("secret"));
    }
}
