//! Who held a block: one get per netmask length in use, and the rows that there are (design D25).
//!
//! Those around the block come merged in order of time, those inside it in order of address. A page
//! looks at a bounded number of rows; its continuation is the place behind the last one looked at.

use std::collections::VecDeque;
use std::ops::ControlFlow;

use super::answers::{Holder, LineageAnswer, Observed};
use super::keys::{self, Entry, Generation};
use super::known::Known;
use super::rows::{self, Span};
use crate::address::Cidr;
use crate::domain::id::{OrganizationId, ScopeId};
use crate::domain::time::Timestamp;
use crate::views::keys::{Key, KeyReader};
use crate::views::table::{Rows, TableError};
use crate::views::when::{AnswerHead, Window};

/// At most so many rows are on a page.
pub const ROWS_MAX: usize = 1_000;
/// A page ends when so many rows were looked at, whether they were answers or not.
pub const ROWS_EXAMINED_MAX: usize = 20_000;
/// So many rows are read at a time.
const ROWS_PER_READ: usize = 64;

/// Why a query has no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    #[error(transparent)]
    Store(#[from] TableError),
    #[error("`{0}` does not continue this query; pass `next` of an earlier page unchanged")]
    Continuation(String),
}

/// What is asked about a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineageQuery {
    pub cidr: Cidr,
    pub window: Window,
    /// Only pools and allocations of this scope; resources, which lie in none of their own, always.
    pub scope: Option<ScopeId>,
    /// Whether to list those inside the block, too.
    pub inside: bool,
    /// 1 to [`ROWS_MAX`]; anything else is brought within.
    pub limit: usize,
    /// `next` of the page before.
    pub after: Option<String>,
}

impl LineageQuery {
    /// Everybody who ever held the block or an address of it.
    #[must_use]
    pub fn history(cidr: Cidr) -> Self {
        Self { cidr, window: Window::ALL, scope: None, inside: true, limit: ROWS_MAX, after: None }
    }

    /// Everybody who held the block at an instant.
    #[must_use]
    pub fn who(cidr: Cidr, at: Timestamp) -> Self {
        Self { inside: false, window: Window::instant(at), ..Self::history(cidr) }
    }
}

/// Who held a block in a time, as the ledger knew it at `head`.
///
/// # Errors
/// When the rows cannot be read, or the continuation is none of this query.
pub fn lineage(
    rows: &dyn Rows,
    organization: &OrganizationId,
    head: AnswerHead,
    query: &LineageQuery,
) -> Result<LineageAnswer, QueryError> {
    let ledger = Known::new(rows, organization, head)?;
    let after = query.after.as_deref().map(|text| Place::read(text, query.cidr)).transpose()?;
    let blocks = blocks_around(&ledger, query.cidr);
    let limit = query.limit.clamp(1, ROWS_MAX);
    let mut page = Page { known: &ledger, query, limit, examined: 0, found: Vec::new() };
    let mut next = None;
    if !matches!(after, Some(Place::Inside { .. })) {
        next = page.merge(around(&ledger, query, &blocks, after.as_ref()), time_place)?;
    }
    if next.is_none() && query.inside && page.found.len() >= limit {
        next = Some(vec![INSIDE]);
    } else if next.is_none() && query.inside {
        next = page.merge(inside(&ledger, query, after.as_ref()), address_place)?;
    }
    let observed = match query.after {
        None => Some(observed(&ledger, query, &blocks, &page.found)?),
        Some(_) => None,
    };
    let found = page.found;
    let held = found.into_iter().map(|span| ledger.held(span, query.window)).collect::<Result<_, _>>()?;
    Ok(LineageAnswer {
        head,
        cidr: query.cidr,
        window: query.window,
        observed,
        held,
        next: next.map(|place| hex(&place)),
    })
}

/// The blocks around `cidr`, itself among them, that somebody may have held: one of each netmask length in use.
fn blocks_around(known: &Known<'_>, cidr: Cidr) -> Vec<Cidr> {
    known.summary.lengths.of(cidr.family()).iter().map_while(|length| cidr.widened_to(*length)).collect()
}

fn is_one_address(cidr: Cidr) -> bool {
    cidr.length() == cidr.family().bits()
}

/// Where a page ended.
enum Place {
    Around { from: Timestamp, cidr: Cidr, rest: Vec<u8> },
    Inside { rest: Vec<u8> },
}

const AROUND: u8 = 1;
const INSIDE: u8 = 2;

impl Place {
    fn read(text: &str, cidr: Cidr) -> Result<Self, QueryError> {
        let error = || QueryError::Continuation(text.chars().take(64).collect());
        let bytes = unhex(text).ok_or_else(error)?;
        let mut reader = KeyReader::new(&bytes).ok_or_else(error)?;
        match bytes.first() {
            Some(&AROUND) => {
                let from = reader.instant_descending().ok_or_else(error)?;
                let cidr = reader.block(cidr.family()).ok_or_else(error)?;
                Ok(Self::Around { from, cidr, rest: reader.rest().to_vec() })
            }
            Some(&INSIDE) => Ok(Self::Inside { rest: reader.rest().to_vec() }),
            _ => Err(error()),
        }
    }
}

/// The order of those around a block: latest start first.
fn time_place(span: &Span) -> Vec<u8> {
    keys::entry_part(Key::new(AROUND).instant_descending(span.from).block(span.cidr), &span.entry).into_bytes()
}

/// The order of those inside a block: by address, latest start first within a block.
fn address_place(span: &Span) -> Vec<u8> {
    keys::span_part(Key::new(INSIDE), span.cidr, span.from, &span.entry).into_bytes()
}

/// The streams of those around the block: one per block and generation.
fn around(known: &Known<'_>, query: &LineageQuery, blocks: &[Cidr], after: Option<&Place>) -> Vec<Stream> {
    let mut streams = Vec::new();
    for generation in known.generations() {
        let prefix = keys::spans(known.organization, query.cidr.family(), *generation);
        for block in blocks {
            let at = prefix.clone().block(*block);
            let mut start = at.clone().instant_descending(query.window.until.plus_micros(-1)).into_bytes();
            if let Some(Place::Around { from, cidr, rest }) = after {
                let resumed = match block.cmp(cidr) {
                    std::cmp::Ordering::Less => at.clone().instant_descending(from.plus_micros(-1)).into_bytes(),
                    std::cmp::Ordering::Equal => at.clone().instant_descending(*from).raw(rest).end(),
                    std::cmp::Ordering::Greater => at.clone().instant_descending(*from).into_bytes(),
                };
                start = start.max(resumed);
            }
            streams.push(Stream::new(*generation, &prefix, start, at.end()));
        }
    }
    streams
}

/// The streams of those strictly inside the block: one per generation.
fn inside(known: &Known<'_>, query: &LineageQuery, after: Option<&Place>) -> Vec<Stream> {
    if is_one_address(query.cidr) {
        return Vec::new();
    }
    let stream = |generation: &Generation| {
        let prefix = keys::spans(known.organization, query.cidr.family(), *generation);
        let (mut start, end) = keys::inside(&prefix, query.cidr);
        // An empty place is the one before all of them.
        if let Some(Place::Inside { rest }) = after
            && !rest.is_empty()
        {
            start = start.max(prefix.clone().raw(rest).end());
        }
        Stream::new(*generation, &prefix, start, end)
    };
    known.generations().iter().map(stream).collect()
}

/// A part of the span rows, read piece by piece in its order.
struct Stream {
    generation: Generation,
    prefix_width: usize,
    start: Vec<u8>,
    end: Vec<u8>,
    /// Answers that were read and not yet given.
    queue: VecDeque<(Vec<u8>, Span)>,
    /// The place of the last row looked at; empty before the first.
    examined: Vec<u8>,
    done: bool,
}

impl Stream {
    fn new(generation: Generation, prefix: &Key, start: Vec<u8>, end: Vec<u8>) -> Self {
        let prefix_width = prefix.bytes().len();
        Self { generation, prefix_width, start, end, queue: VecDeque::new(), examined: Vec::new(), done: false }
    }

    /// The place before which nothing comes any more; `None` at the end.
    fn place(&self) -> Option<&[u8]> {
        match self.queue.front() {
            Some((place, _)) => Some(place),
            None => (!self.done).then_some(&self.examined),
        }
    }
}

struct Page<'a> {
    known: &'a Known<'a>,
    query: &'a LineageQuery,
    limit: usize,
    examined: usize,
    found: Vec<Span>,
}

impl Page<'_> {
    /// Merges streams into the page. The place where it is full, if it is before all are at their end.
    fn merge(&mut self, mut streams: Vec<Stream>, place: fn(&Span) -> Vec<u8>) -> Result<Option<Vec<u8>>, TableError> {
        loop {
            let first = streams.iter_mut().filter(|stream| stream.place().is_some());
            let Some(stream) = first.min_by(|one, other| one.place().cmp(&other.place())) else { return Ok(None) };
            match stream.queue.pop_front() {
                Some((place, span)) => {
                    self.found.push(span);
                    if self.found.len() >= self.limit {
                        let more = streams.iter().any(|stream| stream.place().is_some());
                        return Ok(more.then_some(place));
                    }
                }
                None if self.examined >= ROWS_EXAMINED_MAX && !stream.examined.is_empty() => {
                    return Ok(Some(stream.examined.clone()));
                }
                None => self.read(stream, place)?,
            }
        }
    }

    fn read(&mut self, stream: &mut Stream, place: fn(&Span) -> Vec<u8>) -> Result<(), TableError> {
        let (mut count, mut result) = (0, Ok(()));
        let mut last = Vec::new();
        let family = self.query.cidr.family();
        self.known.rows.scan(&stream.start, &stream.end, &mut |key, value| {
            count += 1;
            let part = key.get(stream.prefix_width..).unwrap_or_default();
            match self.answer(family, part, value, stream.generation, place) {
                Ok((place, span)) => {
                    stream.examined.clone_from(&place);
                    stream.queue.extend(span.map(|span| (place, span)));
                }
                Err(error) => result = Err(error),
            }
            if result.is_err() || count == ROWS_PER_READ {
                last = key.to_vec();
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })?;
        result?;
        self.examined += count;
        stream.done = count < ROWS_PER_READ;
        last.push(0);
        stream.start = last;
        Ok(())
    }

    /// A row's place, and the interval if it is an answer.
    fn answer(
        &self,
        family: crate::address::Family,
        part: &[u8],
        value: &[u8],
        generation: Generation,
        place: fn(&Span) -> Vec<u8>,
    ) -> Result<(Vec<u8>, Option<Span>), TableError> {
        let span = rows::read_any_span(family, part, value, generation)?;
        let place = place(&span.0);
        let Some(span) = rows::as_of(span, self.known.head.revision) else { return Ok((place, None)) };
        let span = self.known.with_cascades(span)?;
        let asked = self.query.window.meets(span.from, span.row.until) && self.is_in_scope(&span.row.holder);
        Ok((place, asked.then_some(span)))
    }

    fn is_in_scope(&self, holder: &Holder) -> bool {
        match (self.query.scope, holder) {
            (Some(asked), Holder::Pool { scope, .. } | Holder::Allocation { scope, .. }) => asked == *scope,
            _ => true,
        }
    }
}

/// Whether discovery knew anything around the block before the window ended.
fn observed(known: &Known<'_>, query: &LineageQuery, blocks: &[Cidr], found: &[Span]) -> Result<Observed, TableError> {
    if found.iter().any(|span| matches!(span.entry, Entry::Resource(_))) {
        return Ok(Observed::Known);
    }
    if !known.summary.resources {
        return Ok(Observed::Never);
    }
    let mut first: Option<Timestamp> = None;
    let mut examined = 0;
    let family = query.cidr.family();
    let revision = known.head.revision;
    for generation in known.generations() {
        let prefix = keys::spans(known.organization, family, *generation);
        let width = prefix.bytes().len();
        let around =
            blocks.iter().map(|block| (prefix.clone().block(*block).into_bytes(), prefix.clone().block(*block).end()));
        let inside = (query.inside && !is_one_address(query.cidr)).then(|| keys::inside(&prefix, query.cidr));
        for (start, end) in around.chain(inside) {
            let mut result = Ok(());
            known.rows.scan(&start, &end, &mut |key, value| {
                examined += 1;
                match rows::read_span(family, key.get(width..).unwrap_or_default(), value, *generation, revision) {
                    Ok(Some(span)) if matches!(span.entry, Entry::Resource(_)) => {
                        first = Some(first.map_or(span.from, |first| first.min(span.from)));
                    }
                    Ok(_) => {}
                    Err(error) => result = Err(error),
                }
                let settled = first.is_some_and(|first| first < query.window.until);
                if result.is_err() || settled || examined >= ROWS_EXAMINED_MAX {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            })?;
            result?;
        }
    }
    Ok(match first {
        None => Observed::Never,
        Some(first) if first < query.window.until => Observed::Known,
        Some(first_observed) => Observed::UnknownUntil { first_observed },
    })
}

/// Bytes as text that passes through a URL.
pub fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The bytes that [`hex`] wrote.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    text.as_bytes()
        .chunks(2)
        .map(|digits| std::str::from_utf8(digits).ok().and_then(|digits| u8::from_str_radix(digits, 16).ok()))
        .collect()
}
