//! Names for people wherever an id is wanted: a tag `Name`, or a path of names (`eu/prod`).
//!
//! Nothing is guessed: a name that could mean two things is refused with the candidates.

use serde::de::DeserializeOwned;

use super::arguments::escaped;
use super::failure::Failure;
use super::session::Session;
use crate::address::Cidr;
use crate::domain::id::{AllocationId, IpamId, ObjectId, PoolId, ScopeId};
use crate::views::answer::{AllocationAnswer, Answer, IpamAnswer, Page, PoolNode, PoolTree, ScopeAnswer, ScopeKind};
use crate::views::lineage::answers::{Held, Holder, LineageAnswer};
use crate::views::when::Window;

/// What the default scopes are called. A scope that somebody gave such a name goes by its id.
const DEFAULT_SCOPES: [&str; 2] = ["private", "public"];

/// Something that a name can mean.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Candidate<T> {
    id: T,
    /// The whole path of names, and other words for it.
    names: Vec<String>,
    /// What tells it from others of the same name.
    about: String,
}

/// Resolves names by asking the ledger.
#[derive(Debug)]
pub struct Names<'a> {
    session: &'a Session,
    /// The moment that is asked about, as it stands in a query; may be empty.
    moment: String,
}

impl<'a> Names<'a> {
    pub fn new(session: &'a Session, moment: String) -> Self {
        Self { session, moment }
    }

    /// An IPAM by id or name; the only one there is when none is named.
    ///
    /// # Errors
    /// When there is none, or several.
    pub fn ipam(&self, given: Option<&str>) -> Result<IpamId, Failure> {
        if let Some(Ok(id)) = given.map(str::parse) {
            return Ok(id);
        }
        let candidates = self.ipams()?;
        match (given, candidates.as_slice()) {
            (Some(given), _) => pick("IPAM", given, &candidates),
            (None, [only]) => Ok(only.id),
            (None, []) => Err(Failure::usage("there is no IPAM yet: ipam instance create --home REGION")),
            (None, several) => Err(Failure::usage(format!("which IPAM?{}", listed(several)))),
        }
    }

    /// A scope by id, name, or `private` and `public` for the default ones.
    ///
    /// # Errors
    /// When there is none of that name, or several.
    pub fn scope(&self, given: &str) -> Result<ScopeId, Failure> {
        given.parse().or_else(|_| pick("scope", given, &self.scopes()?))
    }

    /// A pool by id, name, or the end of its path.
    ///
    /// # Errors
    /// When there is none of that name, or several.
    pub fn pool(&self, given: &str) -> Result<PoolId, Failure> {
        given.parse().or_else(|_| pick("pool", given, &self.pools()?))
    }

    /// An allocation by id, or by the block that it holds at the moment asked about; of a whole day's, those at its end come first.
    ///
    /// # Errors
    /// When nothing, or more than one allocation, holds exactly that block.
    pub fn allocation(&self, given: &str) -> Result<AllocationId, Failure> {
        if let Ok(id) = given.parse() {
            return Ok(id);
        }
        let block: Cidr = given.parse().map_err(|_| {
            Failure::usage(format!("`{given}` is neither the id of an allocation nor a block such as 10.0.0.0/24"))
        })?;
        let path = format!("/holders?address={}", escaped(&block.network().to_string()));
        let (held, window) = self.all_held(&path)?;
        let (at_the_end, before): (Vec<_>, Vec<_>) = held
            .into_iter()
            .filter(|held| held.cidr == block)
            .partition(|held| held.until.is_none_or(|until| until >= window.until));
        let candidates = |held: Vec<Held>| -> Vec<_> {
            let candidate = |held: Held| match held.holder {
                Holder::Allocation { allocation, pool, description, resource, .. } => {
                    let what = resource.map(|resource| format!(" for {} {}", resource.kind, resource.id));
                    let about = format!("pool {pool}{} {}", what.unwrap_or_default(), description.unwrap_or_default());
                    Some(Candidate { id: allocation, names: vec![block.to_string()], about })
                }
                _ => None,
            };
            held.into_iter().filter_map(candidate).collect()
        };
        let last = candidates(at_the_end);
        pick("allocation", given, &if last.is_empty() { candidates(before) } else { last })
    }

    /// Anything that has an id: by id, else a pool, a scope or an IPAM by name.
    ///
    /// # Errors
    /// When there is none of that name, or several.
    pub fn object(&self, given: &str) -> Result<ObjectId, Failure> {
        if let Ok(id) = given.parse() {
            return Ok(id);
        }
        if given.parse::<Cidr>().is_ok() {
            return self.allocation(given).map(ObjectId::from);
        }
        let mut all = objects("pool", self.pools()?);
        all.extend(objects("scope", self.scopes()?));
        all.extend(objects("IPAM", self.ipams()?));
        pick("pool, scope or IPAM", given, &all)
    }

    fn ipams(&self) -> Result<Vec<Candidate<IpamId>>, Failure> {
        let candidate = |ipam: IpamAnswer| Candidate {
            id: ipam.ipam,
            names: ipam.name.into_iter().collect(),
            about: format!("of {} in {}", ipam.owner, ipam.home_region),
        };
        Ok(self.all::<IpamAnswer>("/ipams")?.into_iter().map(candidate).collect())
    }

    fn scopes(&self) -> Result<Vec<Candidate<ScopeId>>, Failure> {
        let candidate = |scope: ScopeAnswer| {
            let word = match scope.kind {
                ScopeKind::Private => "private",
                ScopeKind::Public => "public",
            };
            let name = scope.name.filter(|name| !DEFAULT_SCOPES.contains(&name.as_str()));
            let names = scope.is_default.then(|| word.to_owned()).into_iter().chain(name).collect();
            Candidate { id: scope.scope, names, about: format!("{word}, of {}", scope.ipam) }
        };
        Ok(self.all::<ScopeAnswer>("/scopes")?.into_iter().map(candidate).collect())
    }

    fn pools(&self) -> Result<Vec<Candidate<PoolId>>, Failure> {
        let path = self.session.path(&self.at("/pools"))?;
        let tree: Answer<PoolTree> = self.session.ask(&path)?;
        let mut found = Vec::new();
        let mut open: Vec<PoolNode> = tree.body.pools;
        while let Some(node) = open.pop() {
            open.extend(node.children);
            let pool = node.pool;
            found.push(Candidate { id: pool.pool, names: vec![pool.path], about: format!("in {}", pool.scope) });
        }
        Ok(found)
    }

    fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Failure> {
        let path = self.session.path(&self.at(path))?;
        Ok(self.session.ask::<Answer<Page<T>>>(&path)?.body.items)
    }

    /// All who held it, and the part of time that the answer is about.
    fn all_held(&self, path: &str) -> Result<(Vec<Held>, Window), Failure> {
        let mut held = Vec::new();
        let mut after = None;
        loop {
            let path = self.session.path(&page(&self.at(path), after.as_deref()))?;
            let answer: LineageAnswer = self.session.ask(&path)?;
            held.extend(answer.held);
            match answer.next {
                Some(next) => after = Some(next),
                None => return Ok((held, answer.window)),
            }
        }
    }

    fn at(&self, path: &str) -> String {
        joined(path, &self.moment)
    }
}

fn objects<T: Into<ObjectId>>(what: &str, found: Vec<Candidate<T>>) -> Vec<Candidate<ObjectId>> {
    let object =
        |one: Candidate<T>| Candidate { id: one.id.into(), names: one.names, about: format!("{what} {}", one.about) };
    found.into_iter().map(object).collect()
}

/// What an allocation is for, in one line.
pub fn purpose(allocation: &AllocationAnswer) -> String {
    match (&allocation.resource, &allocation.child_pool) {
        (Some(resource), _) => resource.id.clone(),
        (None, Some(pool)) => pool.to_string(),
        (None, None) => allocation.description.clone().unwrap_or_else(|| "-".to_owned()),
    }
}

/// A path with another part of a query.
pub fn joined(path: &str, query: &str) -> String {
    match (query.is_empty(), path.contains('?')) {
        (true, _) => path.to_owned(),
        (false, true) => format!("{path}&{query}"),
        (false, false) => format!("{path}?{query}"),
    }
}

fn page(path: &str, after: Option<&str>) -> String {
    let path = joined(path, "limit=1000");
    after.map_or_else(|| path.clone(), |after| joined(&path, &format!("after={}", escaped(after))))
}

/// The one candidate that `given` means: by its whole name, else by the end of its path.
fn pick<T: Copy + ToString>(what: &str, given: &str, candidates: &[Candidate<T>]) -> Result<T, Failure> {
    let whole: Vec<_> = candidates.iter().filter(|one| one.names.iter().any(|name| name == given)).cloned().collect();
    let ends = |name: &String| name.strip_suffix(given).is_some_and(|rest| rest.is_empty() || rest.ends_with('/'));
    let found = if whole.is_empty() {
        candidates.iter().filter(|one| one.names.iter().any(ends)).cloned().collect()
    } else {
        whole
    };
    match found.as_slice() {
        [only] => Ok(only.id),
        [] => {
            let names = candidates.iter().flat_map(|one| &one.names).map(String::as_str);
            let near = crate::api::nearest(given, names);
            let hint = near.map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
            Err(Failure::usage(format!("there is no {what} `{given}`{hint}")))
        }
        several => Err(Failure::usage(format!("`{given}` could be any of these:{}", listed(several)))),
    }
}

fn listed<T: ToString>(candidates: &[Candidate<T>]) -> String {
    let line = |one: &Candidate<T>| {
        let name = one.names.first().map_or("", String::as_str);
        format!("\n  {}  {name}  {}", one.id.to_string(), one.about)
    };
    candidates.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools() -> Vec<Candidate<u8>> {
        let pool = |id, path: &str| Candidate { id, names: vec![path.to_owned()], about: "in scope".to_owned() };
        vec![
            pool(1, "world"),
            pool(2, "world/eu"),
            pool(3, "world/eu/prod"),
            pool(4, "world/us"),
            pool(5, "world/us/prod"),
            pool(6, "prod"),
            pool(7, "twin"),
            pool(8, "twin"),
        ]
    }

    #[test]
    fn a_name_means_a_whole_path_first_and_the_end_of_one_otherwise() {
        for (given, expect) in [
            ("world", 1),
            ("eu", 2),
            ("world/eu", 2),
            ("eu/prod", 3),
            ("us/prod", 5),
            ("prod", 6),
            ("world/us/prod", 5),
        ] {
            assert_eq!(pick("pool", given, &pools()).expect(given), expect, "{given}");
        }
    }

    #[test]
    fn what_is_not_unique_or_not_there_is_refused_with_candidates() {
        for (given, says) in [
            ("twin", "`twin` could be any of these:\n  7  twin  in scope\n  8  twin  in scope"),
            ("rod", "there is no pool `rod`; did you mean `prod`?"),
            ("u", "there is no pool `u`"),
            ("", "there is no pool ``"),
        ] {
            let failure = pick("pool", given, &pools()).expect_err(given);
            assert_eq!(failure.to_string(), says);
        }
        let mut ends = pools();
        ends.retain(|one| one.id != 6);
        let failure = pick("pool", "prod", &ends).expect_err("two end in it");
        assert!(failure.to_string().contains("world/eu/prod") && failure.to_string().contains("world/us/prod"));
    }
}
