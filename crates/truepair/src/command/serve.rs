//! `truepair serve`: an index behind an HTTP API and a search page.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use truepair_core::source_file;
use truepair_index::Index;
use truepair_serve::{Event, Opener, Rate, ServerSettings, Source, bind, serve};

use crate::exit::Exit;
use crate::interrupt;
use crate::output::Output;
use crate::progress::Bars;
use crate::render::{self, Form};
use crate::search::{Engine, PairJudge, SearchService};

const EXAMPLES: &str = "\
Examples:
  truepair serve index/
      Search page and API on http://127.0.0.1:8000, for this machine alone.
  truepair serve index/ --address 0.0.0.0:8000 --token-file token.txt --host search.example.org
      For others, who must bring the token.
  truepair serve index/ --audit audit/
      With a probability for every pair that /v1/score is asked about.
  curl -s http://127.0.0.1:8000/v1/search -H 'content-type: application/json' \\
      -d '{\"text\": \"a dog on a beach\", \"top\": 5}'
A changed index (`truepair index --append`) is taken over without a lost request. /openapi.json describes
the API, /docs shows it, /metrics counts.";

/// Arguments of `truepair serve`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ServeArgs {
    /// Index that `truepair index` made.
    index: PathBuf,

    /// Audit of the index's data, by which `/v1/score` says how probably a pair is mismatched.
    #[arg(long, value_name = "AUDIT")]
    audit: Option<PathBuf>,

    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000")]
    address: String,

    /// File with the token that requests must bring; demanded on any address but loopback.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,

    /// Name that the server goes by besides its addresses; may be given again.
    #[arg(long, value_name = "NAME")]
    host: Vec<String>,

    /// Queries a second that one client may ask; unbounded by default.
    #[arg(long, value_name = "N")]
    rate: Option<f64>,

    /// Most hits of a query.
    #[arg(long, value_name = "N", default_value_t = 1000)]
    max_top: usize,

    /// Milliseconds that a query waits for others to be answered with.
    #[arg(long, value_name = "MS", default_value_t = 2)]
    batch_window: u64,

    /// Look at every row even where the index has a graph of neighbors.
    #[arg(long)]
    exact: bool,
}

/// The JSON object that `truepair serve --json` prints once it listens.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Serving {
    command: String,
    version: String,
    /// Where the page and the API are.
    url: String,
    index: PathBuf,
    /// Counts every change of the index.
    index_version: u64,
}

impl Output for Serving {
    const SCHEMA: &'static str = "truepair/serve/1";
}

pub(crate) fn run(args: &ServeArgs, form: Form) -> Result<Exit> {
    let began = Instant::now();
    let mut settings = ServerSettings::new(Arc::new(move || began.elapsed()));
    settings.token = args.token_file.as_deref().map(token).transpose()?;
    settings.hosts.clone_from(&args.host);
    settings.max_top = args.max_top;
    settings.batch_window = Duration::from_millis(args.batch_window);
    settings.rate = args.rate.map(|per_second| Rate {
        per_second,
        burst: per_second.max(10.0),
    });
    let engine = Engine::open(&args.index)?.exhaustive(args.exact);
    let open_judge = |audit: &PathBuf| PairJudge::open(audit, &engine.index, &mut Bars::new());
    let judge = args
        .audit
        .as_ref()
        .map(open_judge)
        .transpose()?
        .map(Arc::new);
    let version = engine.index.version();
    settings.listener = listener(args.index.clone(), version, form);
    allow_connections(settings.max_connections);
    let listener = bind(&args.address, &settings)?;
    let source = Source {
        first: SearchService::over(engine, judge.clone()),
        reopen: Some(opener(args, judge, version)),
    };
    let stop = interrupt::stop_flag();
    serve(listener, source, settings, &|| stop.load(Ordering::Relaxed))?;
    Ok(Exit::Success)
}

/// Bytes of a file with a token.
const LONGEST_TOKEN: u64 = 1 << 16;

/// Files that are open besides connections: those of the index, and pictures that are being read.
const OTHER_FILES: u64 = 256;

/// Raises the process's number of open files, which shells set low, to what connections need.
fn allow_connections(max_connections: usize) {
    let wanted = max_connections as u64 + OTHER_FILES;
    // What cannot be raised is told by what there is.
    let allowed = rlimit::increase_nofile_limit(wanted).unwrap_or(wanted);
    if allowed < wanted {
        render::note(&format!(
            "warning: the system allows {allowed} open files, so fewer than {max_connections} connections (raise the \
             hard limit, `ulimit -Hn`)"
        ));
    }
}

fn token(file: &Path) -> Result<String> {
    let place = file.display();
    let text = source_file::read_text(file, LONGEST_TOKEN)
        .with_context(|| format!("{place}: cannot read"))?;
    let token = text.trim();
    if token.len() < 16 {
        bail!(
            "{place}: a token has at least 16 characters (for instance `openssl rand -hex 32 > {place}`)"
        )
    }
    Ok(token.to_owned())
}

/// Opens the index anew whenever it has another version.
fn opener(args: &ServeArgs, judge: Option<Arc<PairJudge>>, mut version: u64) -> Opener {
    let (index, is_exhaustive) = (args.index.clone(), args.exact);
    Box::new(move || {
        let current = Index::current_version(&index)?;
        if current == version {
            return Ok(None);
        }
        let engine = Engine::open(&index).map_err(|error| {
            truepair_core::Error::argument(
                render::chain(&error),
                "the former version goes on answering",
            )
        })?;
        version = engine.index.version();
        let engine = engine.exhaustive(is_exhaustive);
        Ok(Some(SearchService::over(engine, judge.clone())))
    })
}

fn listener(index: PathBuf, index_version: u64, form: Form) -> truepair_serve::Listener {
    Arc::new(move |event| match event {
        Event::Listening(address) => {
            let serving = Serving {
                command: "serve".to_owned(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                url: format!("http://{address}"),
                index: index.clone(),
                index_version,
            };
            // Whoever closed the output does not want to know.
            let _ = form.print(&serving, || {
                format!("serving {} on {}\n", index.display(), serving.url)
            });
        }
        Event::Swapped { version } => {
            render::note(&format!("version {version} of the index answers now"))
        }
        Event::SwapFailed { message } => render::note(&format!("warning: {message}")),
        Event::Stopping { connections } => {
            render::note(&format!(
                "stopping; {} open",
                render::count(*connections, "connection")
            ));
        }
    })
}
