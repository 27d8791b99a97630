//! Which schema leads to which: to refuse those that run in circles, and to count what validating would cost before it is done.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

/// Schemas that apply to one value, one through another.
const MAXIMUM_CHAIN: usize = 64;
/// Patterns of one schema.
const MAXIMUM_PATTERNS: usize = 256;
/// Bytes of one pattern.
const MAXIMUM_PATTERN: usize = 1_024;
/// Keywords that may be evaluated for the settings of one step.
const BUDGET: u64 = 5_000_000;

/// The schemas that can be reached, each with what it leads to.
pub(super) struct Graph<'s> {
    /// In an order in which whatever applies to the same value comes later.
    nodes: Vec<Node<'s>>,
    root: usize,
}

#[derive(Default)]
struct Node<'s> {
    /// Evaluations of its own.
    weight: u64,
    /// Applied to the same value.
    same: Vec<usize>,
    /// How often each of those is.
    times: u64,
    properties: BTreeMap<&'s str, usize>,
    every_property: Vec<usize>,
    items: Vec<usize>,
}

struct Builder<'s> {
    root: &'s Value,
    nodes: Vec<Node<'s>>,
    known: HashMap<*const Value, usize>,
    waiting: Vec<(usize, &'s Value)>,
    anchors: Vec<(&'s str, &'s Value)>,
    patterns: usize,
}

impl<'s> Graph<'s> {
    pub(super) fn new(root: &'s Value) -> Result<Self, String> {
        if let Some(dialect) = root.get("$schema")
            && dialect.as_str().map(|text| text.trim_end_matches('#'))
                != Some("https://json-schema.org/draft/2020-12/schema")
        {
            return Err("its dialect is not JSON Schema 2020-12".to_owned());
        }
        let mut builder = Builder {
            root,
            nodes: Vec::new(),
            known: HashMap::new(),
            waiting: Vec::new(),
            anchors: Vec::new(),
            patterns: 0,
        };
        builder.find_anchors(root);
        builder.node(root);
        while let Some((index, schema)) = builder.waiting.pop() {
            builder.read(index, schema)?;
        }
        let (nodes, root) = sorted(builder.nodes)?;
        Ok(Self { nodes, root })
    }

    /// Whether validating `settings` stays within bounds.
    pub(super) fn affordable(&self, settings: &Value) -> bool {
        let mut budget = BUDGET;
        self.visit(settings, BTreeMap::from([(self.root, 1)]), &mut budget).is_some()
    }

    /// Takes from `budget` what it costs to apply `active` schemas, each as often as it says, to `value`.
    fn visit(&self, value: &Value, mut active: BTreeMap<usize, u64>, budget: &mut u64) -> Option<()> {
        let mut here: Vec<(&Node<'_>, u64)> = Vec::new();
        while let Some((index, count)) = active.pop_first() {
            let node = self.nodes.get(index)?;
            *budget = budget.checked_sub(count.checked_mul(node.weight)?)?;
            for next in &node.same {
                let sum = active.entry(*next).or_default();
                *sum = sum.checked_add(count.checked_mul(node.times)?)?;
            }
            here.push((node, count));
        }
        let mut below = |child: &Value, down: Down<'_>| {
            *budget = budget.checked_sub(here.len() as u64)?;
            let mut next: BTreeMap<usize, u64> = BTreeMap::new();
            for (node, count) in &here {
                for index in node.below(down) {
                    let sum = next.entry(index).or_default();
                    *sum = sum.saturating_add(*count);
                }
            }
            if next.is_empty() { Some(()) } else { self.visit(child, next, budget) }
        };
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| below(item, Down::Item)),
            Value::Object(object) => object.iter().try_for_each(|(name, child)| below(child, Down::Property(name))),
            _ => Some(()),
        }
    }
}

/// From a value to one in it.
#[derive(Clone, Copy)]
enum Down<'k> {
    Item,
    Property(&'k str),
}

impl Node<'_> {
    /// The schemas that apply to a value in the one that this applies to.
    fn below(&self, down: Down<'_>) -> impl Iterator<Item = usize> {
        let (one, all) = match down {
            Down::Item => (None, &self.items),
            Down::Property(name) => (self.properties.get(name), &self.every_property),
        };
        one.into_iter().chain(all).copied()
    }
}

impl<'s> Builder<'s> {
    /// The number of a schema, which is read later if it is new.
    fn node(&mut self, schema: &'s Value) -> usize {
        if let Some(index) = self.known.get(&std::ptr::from_ref(schema)) {
            return *index;
        }
        let index = self.nodes.len();
        self.nodes.push(Node { weight: 1, times: 1, ..Node::default() });
        self.known.insert(schema, index);
        self.waiting.push((index, schema));
        index
    }

    fn read(&mut self, index: usize, schema: &'s Value) -> Result<(), String> {
        let Value::Object(keywords) = schema else { return Ok(()) };
        let mut node = Node { weight: 1 + keywords.len() as u64, times: 1, ..Node::default() };
        for (keyword, value) in keywords {
            match keyword.as_str() {
                "$id" if index != 0 => return Err("`$id` stands below the root".to_owned()),
                "$ref" | "$dynamicRef" | "$recursiveRef" => {
                    for target in self.resolve(value)? {
                        let target = self.node(target);
                        node.same.push(target);
                    }
                }
                "not" | "if" | "then" | "else" => node.same.push(self.node(value)),
                "allOf" | "anyOf" | "oneOf" => node.same.extend(elements(value).map(|schema| self.node(schema))),
                "dependentSchemas" | "dependencies" => {
                    node.same.extend(entries(value).map(|(_, schema)| self.node(schema)));
                }
                "properties" => {
                    node.properties = entries(value).map(|(name, schema)| (name, self.node(schema))).collect();
                }
                "patternProperties" => {
                    for (pattern, schema) in entries(value) {
                        self.pattern(pattern)?;
                        let schema = self.node(schema);
                        node.every_property.push(schema);
                    }
                }
                "additionalProperties" | "propertyNames" => node.every_property.push(self.node(value)),
                "items" | "additionalItems" | "contains" => {
                    if value.is_array() {
                        node.items.extend(elements(value).map(|schema| self.node(schema)));
                    } else {
                        node.items.push(self.node(value));
                    }
                }
                "prefixItems" => node.items.extend(elements(value).map(|schema| self.node(schema))),
                // These evaluate their neighbours again, to see what those left over.
                "unevaluatedProperties" => {
                    node.times = 3;
                    node.every_property.push(self.node(value));
                }
                "unevaluatedItems" => {
                    node.times = 3;
                    node.items.push(self.node(value));
                }
                "pattern" => self.pattern(value.as_str().unwrap_or_default())?,
                "enum" | "required" => node.weight += elements(value).count() as u64,
                _ => {}
            }
        }
        self.nodes[index] = node;
        Ok(())
    }

    fn pattern(&mut self, pattern: &str) -> Result<(), String> {
        self.patterns += 1;
        if self.patterns > MAXIMUM_PATTERNS || pattern.len() > MAXIMUM_PATTERN {
            return Err(format!("more than {MAXIMUM_PATTERNS} patterns, or one of more than {MAXIMUM_PATTERN} bytes"));
        }
        Ok(())
    }

    /// What a reference within the schema leads to. An anchor may stand in several places.
    fn resolve(&self, reference: &Value) -> Result<Vec<&'s Value>, String> {
        let text = reference.as_str().unwrap_or_default();
        let Some(fragment) = text.strip_prefix('#') else {
            return Err(format!("`{}` refers to another document", super::explain::short(text)));
        };
        let targets: Vec<&Value> = if fragment.is_empty() || fragment.starts_with('/') {
            self.root.pointer(&decoded(fragment)).into_iter().collect()
        } else {
            self.anchors.iter().filter(|(name, _)| *name == fragment).map(|(_, schema)| *schema).collect()
        };
        if targets.is_empty() {
            return Err(format!("`{}` refers to nothing", super::explain::short(text)));
        }
        Ok(targets)
    }

    fn find_anchors(&mut self, value: &'s Value) {
        match value {
            Value::Object(object) => {
                for keyword in ["$anchor", "$dynamicAnchor"] {
                    if let Some(name) = object.get(keyword).and_then(Value::as_str) {
                        self.anchors.push((name, value));
                    }
                }
                object.values().for_each(|value| self.find_anchors(value));
            }
            Value::Array(items) => items.iter().for_each(|item| self.find_anchors(item)),
            _ => {}
        }
    }
}

fn elements(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn entries(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

/// A JSON pointer out of the fragment of a URL.
fn decoded(fragment: &str) -> String {
    let mut bytes = Vec::with_capacity(fragment.len());
    let mut rest = fragment.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match (byte, digit(ahead.next()), digit(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                bytes.push((high * 16 + low) as u8);
                rest = ahead;
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The nodes in an order in which those that apply to the same value come later, and the place of the first.
fn sorted(nodes: Vec<Node<'_>>) -> Result<(Vec<Node<'_>>, usize), String> {
    let mut before = vec![0_usize; nodes.len()];
    nodes.iter().flat_map(|node| &node.same).for_each(|next| before[*next] += 1);
    let mut ready: Vec<usize> = (0..nodes.len()).rev().filter(|index| before[*index] == 0).collect();
    let mut chain = vec![1_usize; nodes.len()];
    let mut order = Vec::with_capacity(nodes.len());
    while let Some(index) = ready.pop() {
        order.push(index);
        for next in &nodes[index].same {
            chain[*next] = chain[*next].max(chain[index] + 1);
            before[*next] -= 1;
            if before[*next] == 0 {
                ready.push(*next);
            }
        }
    }
    if order.len() < nodes.len() {
        return Err("it leads back to itself without going down into the settings".to_owned());
    }
    if chain.iter().any(|length| *length > MAXIMUM_CHAIN) {
        return Err(format!("more than {MAXIMUM_CHAIN} schemas apply one through another"));
    }
    let mut places = vec![0; nodes.len()];
    order.iter().enumerate().for_each(|(place, index)| places[*index] = place);
    let mut nodes: Vec<Option<Node<'_>>> = nodes.into_iter().map(Some).collect();
    let renumbered = order.iter().filter_map(|index| nodes[*index].take()).map(|mut node| {
        let lists = [&mut node.same, &mut node.every_property, &mut node.items];
        lists.into_iter().flatten().chain(node.properties.values_mut()).for_each(|index| *index = places[*index]);
        node
    });
    Ok((renumbered.collect(), places.first().copied().unwrap_or_default()))
}
