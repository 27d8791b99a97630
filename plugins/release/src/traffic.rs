//! `kind = "traffic-shift"`: how much of the traffic each of two destinations gets, in an Istio VirtualService.
//!
//! The object is read, its weights are changed, and it is sent back together with the version that was read: whoever changes it
//! in between is not overwritten.

use std::time::{SystemTime, UNIX_EPOCH};

use pipe_sdk::{
    Failure, Finding, checkpoint,
    http::{Request, peer},
    output,
    release::{Report, Wave},
    undo,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::settings::TrafficShift;

/// What undo must know: the weights as they were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Receipt {
    routes: Vec<Route>,
}

/// A route with two destinations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    /// Its place among the HTTP routes.
    place: usize,
    /// Each destination with its share in per cent, in order.
    shares: Vec<(String, u64)>,
}

/// Moves traffic.
pub(crate) fn publish(settings: &TrafficShift, wave: Option<&Wave>) -> Result<Report, Failure> {
    let share = share(wave)?;
    let object = read(settings)?;
    let before = routes(&object, &settings.to)?;
    let wanted = before.iter().map(|route| route.with(&settings.to, share)).collect::<Result<Vec<_>, _>>()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let (was, is) = (summary(&before), summary(&wanted));
    // Every attempt of every wave keeps a receipt of its own: the first one alone knows how it was before the step.
    let receipt = Receipt { routes: before.clone() };
    checkpoint::save_json(&format!("at {now}"), &receipt, &format!("{}: set {was}", settings.virtual_service))?;
    let finding = if before == wanted {
        Finding::pass(format!("{is} already"))
    } else {
        write(settings, &object, &wanted)?;
        Finding::pass(format!("{was} before, {is} now"))
    };
    Ok(Report {
        previous: Some(was),
        current: is,
        findings: vec![finding.named(&settings.virtual_service)],
        outputs: vec![output("share", format!("{share}%"))],
    })
}

/// Where the traffic goes now, and where it would go once all of it is moved. The plan says in which waves.
pub(crate) fn preview(settings: &TrafficShift) -> Result<Vec<String>, Failure> {
    Ok(vec![moved(settings, &read(settings)?)?])
}

fn moved(settings: &TrafficShift, object: &Value) -> Result<String, Failure> {
    let before = routes(object, &settings.to)?;
    let all = share(None)?;
    let wanted = before.iter().map(|route| route.with(&settings.to, all)).collect::<Result<Vec<_>, _>>()?;
    let (name, was, is) = (&settings.virtual_service, summary(&before), summary(&wanted));
    Ok(if before == wanted {
        format!("leave the traffic of {name} as it is: {was}")
    } else {
        format!("move the traffic of {name} from {was} to {is}")
    })
}

/// Moves it back.
pub(crate) fn undo(settings: &TrafficShift, receipts: &[Receipt]) -> Result<undo::Report, Failure> {
    let mut report = undo::Report::default();
    let Some(first) = receipts.first() else {
        report.findings.push(Finding::skip("no traffic was moved").named(&settings.virtual_service));
        return Ok(report);
    };
    let object = read(settings)?;
    let now = routes(&object, &settings.to)?;
    let names = |routes: &[Route]| -> Vec<(usize, Vec<String>)> {
        let of = |route: &Route| (route.place, route.shares.iter().map(|(name, _)| name.clone()).collect());
        routes.iter().map(of).collect()
    };
    if names(&now) != names(&first.routes) {
        let message = format!("the routes of {} are others than before", settings.virtual_service);
        return Err(Failure::conflict(message));
    }
    let was = summary(&first.routes);
    if now == first.routes {
        report.findings.push(Finding::pass(format!("{was}, as before")).named(&settings.virtual_service));
        return Ok(report);
    }
    write(settings, &object, &first.routes)?;
    report.findings.push(Finding::pass(format!("{was} again")).named(&settings.virtual_service));
    report.undone.push(format!("moved the traffic of {} back: {was}", settings.virtual_service));
    Ok(report)
}

/// The share of a wave in whole per cent, which is what Istio takes.
fn share(wave: Option<&Wave>) -> Result<u64, Failure> {
    let hundredths = wave.map_or(10_000, |wave| wave.weight_basis_points);
    if !hundredths.is_multiple_of(100) || hundredths > 10_000 {
        let message = "a share of traffic is a whole number of per cent, and at most 100";
        return Err(Failure::settings(message));
    }
    Ok(u64::from(hundredths / 100))
}

fn read(settings: &TrafficShift) -> Result<Value, Failure> {
    Request::get(peer(&settings.peer, &settings.path())).header("accept", "application/json").send()?.success()?.json()
}

/// Sends the object back with these weights, if nobody has changed it, and looks at what became of it.
fn write(settings: &TrafficShift, object: &Value, wanted: &[Route]) -> Result<(), Failure> {
    let Some(version) = object.pointer("/metadata/resourceVersion").and_then(Value::as_str) else {
        return Err(Failure::conflict(format!("{} has no resourceVersion", settings.virtual_service)));
    };
    let patch = json!({ "metadata": { "resourceVersion": version }, "spec": { "http": weighed(object, wanted) } });
    let request = Request::patch(peer(&settings.peer, &settings.path()))
        .header("content-type", "application/merge-patch+json")
        .header("accept", "application/json")
        .json(&patch)?;
    let response = request.send()?;
    if response.status == 409 {
        let message = format!("somebody else has changed {} in the meantime", settings.virtual_service);
        return Err(Failure::conflict(message).retryable(true));
    }
    let after: Value = response.success()?.json()?;
    let shown = routes(&after, &settings.to)?;
    if shown == wanted {
        return Ok(());
    }
    Err(Failure::unmet(format!("{} afterwards, not {}", summary(&shown), summary(wanted))))
}

/// The HTTP routes of the object with these weights in them, and nothing else changed.
fn weighed(object: &Value, wanted: &[Route]) -> Value {
    let mut http = object.pointer("/spec/http").cloned().unwrap_or_default();
    for route in wanted {
        for (index, (_, share)) in route.shares.iter().enumerate() {
            if let Some(destination) = http.pointer_mut(&format!("/{}/route/{index}", route.place)) {
                destination["weight"] = json!(share);
            }
        }
    }
    http
}

/// The routes that lead to a destination.
fn routes(object: &Value, to: &str) -> Result<Vec<Route>, Failure> {
    let http = object.pointer("/spec/http").and_then(Value::as_array);
    let mut found = Vec::new();
    for (place, route) in http.into_iter().flatten().enumerate() {
        let destinations = route.get("route").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
        let shares: Vec<(String, u64)> = destinations.iter().map(destination).collect();
        if !shares.iter().any(|(name, _)| name == to) {
            continue;
        }
        if shares.len() != 2 || shares[0].0 == shares[1].0 {
            let message = format!("route {} to `{to}` has {} destinations, not two", place + 1, shares.len());
            return Err(Failure::conflict(message));
        }
        found.push(Route { place, shares });
    }
    if found.is_empty() {
        return Err(Failure::conflict(format!("no route leads to `{to}`")));
    }
    Ok(found)
}

/// Name and weight of a destination. What has no weight has none of the traffic.
fn destination(route: &Value) -> (String, u64) {
    let text = |key: &str| route.pointer(&format!("/destination/{key}")).and_then(Value::as_str);
    let name = text("subset").or_else(|| text("host")).unwrap_or_default();
    (name.to_owned(), route.get("weight").and_then(Value::as_u64).unwrap_or_default())
}

impl Route {
    fn with(&self, to: &str, share: u64) -> Result<Self, Failure> {
        let sum: u64 = self.shares.iter().map(|(_, share)| share).sum();
        if sum != 100 {
            return Err(Failure::conflict(format!("the weights of route {} sum up to {sum}, not 100", self.place + 1)));
        }
        let shares = self.shares.iter().map(|(name, _)| (name.clone(), if name == to { share } else { 100 - share }));
        Ok(Self { place: self.place, shares: shares.collect() })
    }
}

/// `blue 90%, green 10%`, once for all routes where they are alike.
fn summary(routes: &[Route]) -> String {
    let mut texts: Vec<String> = Vec::new();
    for route in routes {
        let shares: Vec<String> = route.shares.iter().map(|(name, share)| format!("{name} {share}%")).collect();
        let text = shares.join(", ");
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    texts.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(weights: [u64; 2]) -> Value {
        json!({
            "metadata": { "resourceVersion": "7" },
            "spec": { "hosts": ["hms"], "http": [
                { "match": [{ "uri": { "prefix": "/metrics" } }], "route": [{ "destination": { "host": "metrics" } }] },
                { "timeout": "5s", "route": [
                    { "destination": { "host": "hms", "subset": "blue" }, "weight": weights[0] },
                    { "destination": { "host": "hms", "subset": "green" }, "weight": weights[1], "headers": {} },
                ] },
            ] },
        })
    }

    #[test]
    fn weights_change_and_nothing_else() {
        let object = object([100, 0]);
        let before = routes(&object, "green").expect("routes");
        assert_eq!(summary(&before), "blue 100%, green 0%");
        let wanted: Vec<Route> = before.iter().map(|route| route.with("green", 10).expect("a share")).collect();
        let http = weighed(&object, &wanted);
        let mut expected = object.pointer("/spec/http").expect("routes").clone();
        expected[1]["route"][0]["weight"] = json!(90);
        expected[1]["route"][1]["weight"] = json!(10);
        assert_eq!(http, expected);
    }

    #[test]
    fn what_is_not_understood_is_left_alone() {
        let failure = routes(&object([100, 0]), "red").expect_err("no such destination");
        assert_eq!(failure.message, "no route leads to `red`");
        let failure = routes(&object([100, 0]), "metrics").expect_err("one destination");
        assert!(failure.message.contains("has 1 destinations, not two"), "{}", failure.message);
        let odd = routes(&object([60, 60]), "green").expect("routes");
        assert!(odd[0].with("green", 10).is_err(), "the weights are no shares");
        assert!(routes(&json!({ "spec": { "http": "x" } }), "green").is_err());
    }

    #[test]
    fn a_preview_says_where_the_traffic_goes_now_and_then() {
        let settings = json!({ "peer": "k8s", "virtual_service": "hms/hms", "to": "green" });
        let settings: TrafficShift = serde_json::from_value(settings).expect("settings");
        for (weights, said) in [
            ([90, 10], "move the traffic of hms/hms from blue 90%, green 10% to blue 0%, green 100%"),
            ([0, 100], "leave the traffic of hms/hms as it is: blue 0%, green 100%"),
        ] {
            assert_eq!(moved(&settings, &object(weights)).expect("routes"), said);
        }
        assert!(moved(&settings, &object([60, 60])).is_err(), "what publishing would refuse");
    }

    #[test]
    fn istio_takes_whole_per_cents() {
        let wave = |weight_basis_points| Wave { index: 1, count: 2, weight_basis_points };
        assert_eq!(share(Some(&wave(1_000))).ok(), Some(10));
        assert_eq!(share(None).ok(), Some(100));
        assert!(share(Some(&wave(50))).is_err() && share(Some(&wave(20_000))).is_err());
    }
}
