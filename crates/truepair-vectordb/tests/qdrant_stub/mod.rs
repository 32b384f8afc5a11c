//! The part of Qdrant's REST that the store uses, as its documentation describes it, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value as Json, json};

use crate::stub::{Asked, Reply, Stub, good};

/// A collection, and how the server feels.
#[derive(Debug, Default)]
pub(crate) struct State {
    vectors: Option<Json>,
    points: BTreeMap<String, (Vec<f64>, Map<String, Json>)>,
    /// Requests to write that are still answered; `None` answers all.
    pub(crate) n_writes_left: Option<usize>,
}

pub(crate) fn start() -> (Stub, Arc<Mutex<State>>) {
    let state = Arc::new(Mutex::new(State::default()));
    let of_stub = Arc::clone(&state);
    (
        Stub::start(move |asked| of_stub.lock().unwrap().reply(asked)),
        state,
    )
}

impl State {
    fn reply(&mut self, asked: &Asked) -> Reply {
        let path = asked.path.strip_prefix("/collections/c")?;
        let body = &asked.body;
        let is_known = self.vectors.is_some();
        let result = match (asked.method.as_str(), path) {
            ("PUT", "") => {
                self.vectors = Some(body["vectors"].clone());
                json!(true)
            }
            _ if !is_known => {
                let error =
                    json!({ "status": { "error": "Not found: Collection `c` doesn't exist!" } });
                return Some((404, error.to_string()));
            }
            ("GET", "") => json!({ "config": { "params": { "vectors": self.vectors } } }),
            ("PUT", "/points?wait=true") => {
                match &mut self.n_writes_left {
                    Some(0) => return None,
                    Some(left) => *left -= 1,
                    None => {}
                }
                for point in body["points"].as_array()? {
                    let vector = numbers(&point["vector"])?;
                    let size = self.vectors.as_ref()?["size"].as_u64()?;
                    assert_eq!(vector.len() as u64, size);
                    let id = point["id"].as_str()?.to_owned();
                    self.points
                        .insert(id, (vector, point["payload"].as_object()?.clone()));
                }
                json!({ "status": "completed" })
            }
            ("POST", "/points/query/batch") => {
                let answers = body["searches"].as_array()?.iter();
                let answers: Option<Vec<Json>> = answers.map(|search| self.found(search)).collect();
                Json::Array(answers?)
            }
            ("POST", "/points/delete?wait=true") => {
                for id in body["points"].as_array()? {
                    self.points.remove(id.as_str()?);
                }
                json!({ "status": "completed" })
            }
            ("POST", "/points/count") => json!({ "count": self.points.len() }),
            _ => return Some((404, String::new())),
        };
        good(json!({ "result": result, "status": "ok", "time": 0.0 }))
    }

    fn found(&self, search: &Json) -> Option<Json> {
        let asked = numbers(&search["query"])?;
        let is_distance = self.vectors.as_ref()?["distance"] == "Euclid";
        let mut points = Vec::new();
        for (id, (vector, payload)) in &self.points {
            if !search["filter"].is_null() && !holds(&search["filter"], payload) {
                continue;
            }
            let pairs = vector.iter().zip(&asked);
            let score: f64 = if is_distance {
                pairs.map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
            } else {
                pairs.map(|(a, b)| a * b).sum()
            };
            points.push((
                score,
                json!({ "id": id, "score": score, "payload": payload }),
            ));
        }
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        if !is_distance {
            points.reverse();
        }
        points.truncate(search["limit"].as_u64()? as usize);
        let points: Vec<Json> = points.into_iter().map(|(_, point)| point).collect();
        Some(json!({ "points": points }))
    }
}

fn numbers(list: &Json) -> Option<Vec<f64>> {
    list.as_array()?.iter().map(Json::as_f64).collect()
}

/// A filter or a condition: all of `must`, one of `should` where there are some, none of `must_not`.
fn holds(condition: &Json, payload: &Map<String, Json>) -> bool {
    let list = |name: &str| condition[name].as_array().cloned().unwrap_or_default();
    let holds_one = |condition: &Json| holds(condition, payload);
    if let Some(empty) = condition.get("is_empty") {
        return value_of(&empty["key"], payload).is_none();
    }
    if condition.get("key").is_some() {
        return value_of(&condition["key"], payload).is_some_and(|value| fits(condition, value));
    }
    let should = list("should");
    list("must").iter().all(holds_one)
        && (should.is_empty() || should.iter().any(holds_one))
        && !list("must_not").iter().any(holds_one)
}

fn value_of<'p>(key: &Json, payload: &'p Map<String, Json>) -> Option<&'p Json> {
    let key = key.as_str().unwrap();
    let is_plain = key
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    let name = match key.strip_prefix('"').and_then(|key| key.strip_suffix('"')) {
        Some(quoted) => {
            assert!(!quoted.contains('"'), "a path cannot hold {key}");
            quoted
        }
        None => {
            assert!(is_plain, "a path cannot hold {key}");
            key
        }
    };
    payload.get(name)
}

fn fits(condition: &Json, value: &Json) -> bool {
    if let Some(range) = condition.get("range") {
        let Some(number) = value.as_f64() else {
            return false;
        };
        return range.as_object().unwrap().iter().all(|(word, bound)| {
            let bound = bound.as_f64().unwrap();
            match word.as_str() {
                "lt" => number < bound,
                "lte" => number <= bound,
                "gt" => number > bound,
                "gte" => number >= bound,
                other => panic!("{other}"),
            }
        });
    }
    let wanted = &condition["match"];
    match (wanted.get("value"), wanted.get("except")) {
        (Some(wanted), _) => wanted == value,
        (_, Some(except)) => value.is_string() && !except.as_array().unwrap().contains(value),
        _ => panic!("{condition}"),
    }
}
