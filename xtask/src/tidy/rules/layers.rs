//! A crate may use only crates of lower layers, and the pure ones nothing that reaches the machine.

use std::process::Stdio;

use serde_json::Value;

use super::Places;
use crate::cargo;
use crate::tidy::Project;

/// The layers, the lowest first. The one place where they are written down for the machine.
const LAYERS: &[(&str, u32)] = &[
    ("tollgate-message", 0),
    ("tollgate-runtime", 0),
    ("tollgate-decision", 0),
    ("tollgate-streams", 0),
    ("tollgate-http1", 1),
    ("tollgate-proxy-protocol", 1),
    ("tollgate-tls", 1),
    ("tollgate-http2", 1),
    ("tollgate-http3", 1),
    ("tollgate-expression", 1),
    ("tollgate-credentials", 1),
    ("tollgate-comparison", 1),
    ("tollgate-stores", 1),
    ("tollgate-acme", 2),
    ("tollgate-outbound", 2),
    ("tollgate-policy", 2),
    ("tollgate-routing", 2),
    ("tollgate-upstream", 2),
    ("tollgate-telemetry", 2),
    ("tollgate-discovery", 3),
    ("tollgate-policies", 3),
    ("tollgate-proxy", 3),
    ("tollgate-simulation", 3),
    ("tollgate-config", 4),
    ("tollgate-control", 5),
    ("tollgate-admin", 6),
    ("tollgate", 7),
];

/// Crates that may use fewer crates of the project than their layer allows: the document knows nothing of
/// what runs it.
const ONLY: &[(&str, &[&str])] = &[(
    "tollgate-config",
    &["tollgate-message", "tollgate-expression", "tollgate-credentials", "tollgate-comparison"],
)];

/// Crates that only compute: no sockets, no tasks, no system calls.
const PURE: &[&str] = &[
    "tollgate-message",
    "tollgate-decision",
    "tollgate-http1",
    "tollgate-proxy-protocol",
    "tollgate-routing",
    "tollgate-expression",
    "tollgate-credentials",
    "tollgate-comparison",
    "tollgate-config",
];
/// What they may not use.
const IMPURE: &[&str] = &["tokio", "rustix", "libc", "socket2", "mio", "tollgate-runtime"];

/// Reads `cargo metadata` and refuses each edge that does not go down.
pub(crate) fn check(_: &Project) -> Result<Places, String> {
    let mut command = cargo::cargo();
    command.args(["metadata", "--format-version", "1", "--no-deps", "--offline"]).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| format!("cargo does not start: {error}"))?;
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|error| format!("cargo metadata: {error}"))?;
    judge(&metadata, &cargo::root().display().to_string())
}

fn judge(metadata: &Value, root: &str) -> Result<Places, String> {
    let packages = metadata["packages"].as_array().ok_or("cargo metadata lists no packages")?;
    let mut found = Places::new();
    for package in packages {
        let (Some(name), Some(manifest)) = (package["name"].as_str(), package["manifest_path"].as_str())
        else {
            return Err("cargo metadata has a package without a name".into());
        };
        let manifest = manifest.strip_prefix(root).unwrap_or(manifest).trim_start_matches('/');
        let edges: Vec<(&str, bool)> = (package["dependencies"].as_array().into_iter().flatten())
            .filter_map(|edge| Some((edge["name"].as_str()?, edge["kind"].as_str() == Some("dev"))))
            .collect();
        let problems = match layer(name) {
            Some(layer) => problems(name, layer, &edges),
            None if manifest.starts_with("crates/") => {
                vec![format!("`{name}` has no layer: add it to LAYERS in xtask/src/tidy/rules/layers.rs")]
            }
            None => Vec::new(),
        };
        found.extend(problems.into_iter().map(|problem| (manifest.to_owned(), 0, problem)));
    }
    Ok(found)
}

fn layer(name: &str) -> Option<u32> {
    LAYERS.iter().find(|(known, _)| *known == name).map(|(_, layer)| *layer)
}

/// What is wrong with the edges of a crate. Tests may use tools that the crate itself may not.
fn problems(name: &str, own: u32, edges: &[(&str, bool)]) -> Vec<String> {
    let only = ONLY.iter().find(|(known, _)| *known == name).map(|(_, only)| *only);
    let mut found = Vec::new();
    for (edge, is_dev) in edges {
        if let Some(other) = layer(edge) {
            if other >= own {
                found.push(format!("`{name}` (layer {own}) must not use `{edge}` (layer {other})"));
            } else if only.is_some_and(|only| !only.contains(edge)) {
                found.push(format!("`{name}` must not use `{edge}`, only {only:?}"));
            }
        }
        if PURE.contains(&name) && IMPURE.contains(edge) && !is_dev {
            found.push(format!("`{name}` only computes: it must not use `{edge}`"));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::judge;
    use serde_json::json;

    fn problems(name: &str, edges: &[&str]) -> Vec<String> {
        let edges: Vec<_> = edges.iter().map(|edge| json!({ "name": edge, "kind": null })).collect();
        let manifest = format!("/r/crates/{name}/Cargo.toml");
        let package = json!({ "name": name, "manifest_path": manifest, "dependencies": edges });
        let found = judge(&json!({ "packages": [package] }), "/r").unwrap();
        found.into_iter().map(|(path, _, message)| format!("{path} {message}")).collect()
    }

    #[test]
    fn edges_go_down() {
        assert!(problems("tollgate-http1", &["tollgate-message", "httparse"]).is_empty());
        for (name, edge) in [
            ("tollgate-http1", "tollgate-proxy"),
            ("tollgate-routing", "tollgate-upstream"),
            ("tollgate-config", "tollgate-proxy"),
            ("tollgate-routing", "tokio"),
        ] {
            let found = problems(name, &[edge]);
            assert!(found.len() == 1 && found[0].contains(edge), "{found:?}");
            assert!(found[0].starts_with(&format!("crates/{name}/Cargo.toml ")), "{found:?}");
        }
    }

    #[test]
    fn a_new_crate_needs_a_layer() {
        assert_eq!(problems("tollgate-new", &[]).len(), 1);
    }
}
