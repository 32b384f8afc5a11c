//! Files of a web server, which is one of the test's own.

mod server;

use std::path::Path;

use server::{Asked, Served, Server};
use truepair_store::{Fetched, Store, StoreError, StoreOptions};

const MIB: usize = 1 << 20;

fn store_of(home: &Path, variables: &[(&str, &str)]) -> Store {
    let variables = variables
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()));
    Store::open(StoreOptions {
        cache: home.join("cache"),
        limit: 1 << 30,
        variables: variables.collect(),
    })
    .unwrap()
}

/// Fetches as a program does that begins, fetches once and ends.
fn fetch(home: &Path, url: &str) -> Result<Fetched, StoreError> {
    store_of(home, &[]).fetch(url, &mut ())
}

#[track_caller]
fn holds(fetched: &Fetched, bytes: &[u8]) {
    assert!(
        std::fs::read(&fetched.path).unwrap() == bytes,
        "{fetched:?}"
    );
}

#[track_caller]
fn refused(result: Result<Fetched, StoreError>, parts: &[&str]) {
    let error = result.unwrap_err().to_string();
    for part in parts {
        assert!(error.contains(part), "`{part}` is not in: {error}");
    }
}

/// Bytes of which no two pieces are alike.
fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at / 251 + at % 251) as u8).collect()
}

/// A file whose parts can be asked for.
fn ranged(bytes: &[u8], etag: &'static str) -> Served {
    Served {
        bytes: bytes.to_vec(),
        etag: Some(etag),
        ranges: true,
        ..Served::default()
    }
}

/// Bytes that were asked for, the first look at the file left out.
fn asked_bytes(asked: &[Asked]) -> u64 {
    let ranges = asked.iter().filter_map(|asked| asked.range);
    ranges
        .filter(|range| *range != (0, 0))
        .map(|(from, to)| to - from + 1)
        .sum()
}

#[test]
fn a_file_comes_in_ranges_once_and_anew_when_it_changes() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::start());
    let old = bytes(20 * MIB + 7);
    server.serve("/a/x.npy?key=1", ranged(&old, "one"));
    let url = server.url("/a/x.npy?key=1");
    let first = fetch(home.path(), &url).unwrap();
    assert_eq!(
        (first.path.file_name().unwrap(), first.bytes),
        ("x.npy".as_ref(), old.len() as u64)
    );
    holds(&first, &old);
    let asked = server.asked();
    assert_eq!((asked.len(), asked_bytes(&asked)), (4, old.len() as u64));

    let again = fetch(home.path(), &url).unwrap();
    assert_eq!((again.bytes, &again.path), (0, &first.path));
    assert_eq!(server.asked().len(), 1);

    let new = bytes(100);
    server.serve("/a/x.npy?key=1", ranged(&new, "two"));
    let changed = fetch(home.path(), &url).unwrap();
    assert_ne!(changed.path, first.path);
    holds(&changed, &new);
}

#[test]
fn servers_without_ranges_lengths_or_versions_are_read() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::start());
    let content = bytes(3 * MIB);
    for (path, served) in [
        (
            "/plain",
            Served {
                etag: Some("e"),
                ..Served::default()
            },
        ),
        (
            "/endless",
            Served {
                etag: Some("e"),
                hides_length: true,
                ..Served::default()
            },
        ),
    ] {
        server.serve(
            path,
            Served {
                bytes: content.clone(),
                ..served
            },
        );
        holds(&fetch(home.path(), &server.url(path)).unwrap(), &content);
        assert_eq!(fetch(home.path(), &server.url(path)).unwrap().bytes, 0);
    }
    for ranges in [true, false] {
        let empty = Served {
            ranges,
            ..ranged(&[], "e")
        };
        server.serve("/empty", empty);
        holds(&fetch(home.path(), &server.url("/empty")).unwrap(), &[]);
    }
    // Nobody knows whether it has changed, so it is fetched every time.
    let unknown = Served {
        bytes: content.clone(),
        ranges: true,
        ..Served::default()
    };
    server.serve("/unknown", unknown.clone());
    for _ in 0..2 {
        let fetched = fetch(home.path(), &server.url("/unknown")).unwrap();
        assert_eq!(fetched.bytes, content.len() as u64);
    }
    let mut other = content;
    other[5] ^= 1;
    server.serve(
        "/unknown",
        Served {
            bytes: other.clone(),
            ..unknown
        },
    );
    holds(
        &fetch(home.path(), &server.url("/unknown")).unwrap(),
        &other,
    );
}

#[test]
fn a_connection_that_breaks_off_goes_on_where_it_was() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::start());
    let content = bytes(3 * MIB);
    let cuts = vec![MIB, 500, 0];
    server.serve(
        "/x",
        Served {
            cuts: cuts.clone(),
            ..ranged(&content, "e")
        },
    );
    holds(&fetch(home.path(), &server.url("/x")).unwrap(), &content);
    let starts = server
        .asked()
        .into_iter()
        .filter_map(|asked| Some(asked.range?.0));
    let starts: Vec<u64> = starts.skip(1).collect();
    assert_eq!(starts[..2], [0, MIB as u64]);
    assert_eq!((starts.len(), starts[2]), (4, MIB as u64 + 500));

    let whole = Served {
        cuts,
        ranges: false,
        ..ranged(&content, "e")
    };
    server.serve("/y", whole);
    holds(&fetch(home.path(), &server.url("/y")).unwrap(), &content);

    let hopeless = Served {
        cuts: vec![0; 99],
        ..ranged(&content, "e")
    };
    server.serve("/z", hopeless);
    refused(
        fetch(home.path(), &server.url("/z")),
        &["/z", "broke off", "again"],
    );
}

#[test]
fn what_a_stopped_program_fetched_is_not_fetched_again() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::start());
    // Ten pieces, of which eight are on their way at a time: whoever has more than 64 MiB has a whole one.
    let content = bytes(80 * MIB);
    server.serve("/x", ranged(&content, "e"));
    struct Stop(u64);
    impl truepair_core::watch::Watch for Stop {
        fn advance(&mut self, _stage: &str, done: u64, _total: u64) {
            self.0 = done;
        }
        fn is_stopped(&self) -> bool {
            self.0 > 68
        }
    }
    let stopped = store_of(home.path(), &[]).fetch(&server.url("/x"), &mut Stop(0));
    refused(stopped, &["stopped"]);
    assert!(asked_bytes(&server.asked()) > 64 * MIB as u64);
    holds(&fetch(home.path(), &server.url("/x")).unwrap(), &content);
    let rest = asked_bytes(&server.asked());
    assert!(rest > 0 && rest <= 72 * MIB as u64, "{rest}");
}

#[test]
fn what_changes_under_way_is_an_error_and_then_fetched_anew() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::start());
    let content = bytes(MIB);
    server.serve("/x", ranged(&content, "one"));
    // The file changes at the first byte that comes.
    struct Change<'a>(&'a Server, Vec<u8>);
    impl truepair_core::watch::Watch for Change<'_> {
        fn advance(&mut self, _stage: &str, _done: u64, _total: u64) {
            self.0.serve("/x", ranged(&self.1, "two"));
        }
    }
    server.serve(
        "/x",
        Served {
            cuts: vec![1000],
            ..ranged(&content, "one")
        },
    );
    let mut change = Change(&server, bytes(2 * MIB));
    let changed = store_of(home.path(), &[]).fetch(&server.url("/x"), &mut change);
    refused(changed, &["/x", "has changed"]);
    holds(
        &fetch(home.path(), &server.url("/x")).unwrap(),
        &bytes(2 * MIB),
    );
}

#[test]
fn a_pattern_is_a_folder_of_shards() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::start());
    for n in 0..3 {
        server.serve(&format!("/d/s-00{n}.tar?v=1"), ranged(&[n; 9], "e"));
    }
    let mut store = store_of(home.path(), &[]);
    let url = server.url("/d/s-{000..002}.tar?v=1");
    let folder = store.fetch(&url, &mut ()).unwrap().path;
    let mut names: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["s-000.tar", "s-001.tar", "s-002.tar"]);
    let shown = store.shown(&format!("{}: bad", folder.join("s-001.tar").display()));
    assert_eq!(shown, format!("{}: bad", server.url("/d/s-001.tar")));
    let missing = fetch(home.path(), &server.url("/d/s-{000..003}.tar?v=1"));
    refused(missing, &["/d/s-003.tar", "404"]);
}

#[test]
fn answers_that_are_none_are_told_and_passing_ones_tried_again() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::start());
    refused(
        fetch(home.path(), &server.url("/none")),
        &["/none", "nothing", "404"],
    );
    for (status, part) in [
        (401, "TRUEPAIR_HTTP_AUTHORIZATION"),
        (403, "refuses access"),
        (418, "418"),
    ] {
        server.serve(
            "/x",
            Served {
                statuses: vec![status; 9],
                ..ranged(b"x", "e")
            },
        );
        refused(fetch(home.path(), &server.url("/x")), &["/x", part]);
    }
    server.serve(
        "/x",
        Served {
            statuses: vec![503, 503],
            ..ranged(b"x", "e")
        },
    );
    holds(&fetch(home.path(), &server.url("/x")).unwrap(), b"x");
    server.serve(
        "/x",
        Served {
            statuses: vec![503; 99],
            ..ranged(b"x", "e")
        },
    );
    refused(
        fetch(&home.path().join("other"), &server.url("/x")),
        &["/x", "503", "again"],
    );

    server.serve(
        "/moved.npy",
        Served {
            moved: Some(server.url("/target")),
            ..Served::default()
        },
    );
    server.serve("/target", ranged(b"found", "e"));
    let fetched = fetch(home.path(), &server.url("/moved.npy")).unwrap();
    holds(&fetched, b"found");
    assert_eq!(fetched.path.file_name().unwrap(), "moved.npy");

    server.serve(
        "/folder",
        Served {
            moved: Some(server.url("/folder/")),
            ..Served::default()
        },
    );
    server.serve("/folder/", ranged(b"<html>", "e"));
    for path in ["/folder", "/folder/", ""] {
        refused(
            fetch(home.path(), &server.url(path)),
            &["is a folder", "shards-{00000..00012}.tar"],
        );
    }
    refused(
        fetch(home.path(), "http://127.0.0.1:1/x"),
        &["127.0.0.1:1/x", "cannot be reached"],
    );
    let unknown = fetch(home.path(), "http://truepair.invalid/x");
    refused(
        unknown,
        &["truepair.invalid/x", "name of the server is unknown"],
    );
    refused(
        fetch(home.path(), &server.url("/a/..%2fx")),
        &["..", "folder"],
    );
}

#[test]
fn the_authorization_is_sent_and_not_to_other_servers() {
    let (home, server, other) = (
        tempfile::tempdir().unwrap(),
        Server::start(),
        Server::start(),
    );
    server.serve("/x", ranged(b"x", "e"));
    server.serve(
        "/y",
        Served {
            moved: Some(other.url("/y")),
            ..Served::default()
        },
    );
    other.serve("/y", ranged(b"y", "e"));
    let mut store = store_of(home.path(), &[("TRUEPAIR_HTTP_AUTHORIZATION", "Bearer t")]);
    for path in ["/x", "/y"] {
        store.fetch(&server.url(path), &mut ()).unwrap();
    }
    let sent = |asked: &Asked| asked.authorization.as_deref() == Some("Bearer t");
    assert!(server.asked().iter().all(sent));
    assert!(!other.asked().iter().any(sent));
}

#[test]
fn two_programs_fetch_an_object_once() {
    let (home, server) = (tempfile::tempdir().unwrap(), Server::start());
    let content = bytes(30 * MIB);
    server.serve("/x", ranged(&content, "e"));
    let url = server.url("/x");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| holds(&fetch(home.path(), &url).unwrap(), &content));
        }
    });
    assert_eq!(asked_bytes(&server.asked()), content.len() as u64);
}
