//! Several inputs as one, merged by time. Inputs of one time come in the order in which they were given.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use weir_schemas::Micros;

use super::ordered::OrderedInput;
use super::{Input, InputError, Observed};
use crate::packet::{InputCounters, InputWarning};

/// Files open at a time where all can be opened again; each takes a descriptor and a buffer of 256 KiB.
const MOST_OPEN: usize = 64;

/// Opens a file once more.
pub(super) type Reopen = Box<dyn Fn() -> Result<OrderedInput, InputError>>;

/// Inputs merged by time.
pub(super) struct MergedInput {
    members: Vec<Member>,
    /// What each input brings next, with several of them.
    heads: Vec<Option<Observed>>,
    times: BinaryHeap<Reverse<(Micros, usize)>>,
    started: bool,
    stopped: bool,
    counters: InputCounters,
    warnings: Vec<InputWarning>,
}

/// One input, which may be closed until its time comes.
struct Member {
    input: Option<OrderedInput>,
    reopen: Option<Reopen>,
    /// When its first packet or flow was, where it was closed after a look at that.
    first: Option<Micros>,
    kind: String,
}

impl MergedInput {
    pub(super) fn new(inputs: Vec<OrderedInput>) -> Self {
        let member = |input: OrderedInput| {
            let kind = input.kind().to_owned();
            Member { input: Some(input), reopen: None, first: None, kind }
        };
        Self::of(inputs.into_iter().map(member).collect())
    }

    /// Inputs that can be opened again: of many, those whose time has not come are closed.
    pub(super) fn of_files(files: Vec<(OrderedInput, Reopen)>) -> Self {
        let is_few = files.len() <= MOST_OPEN;
        let member = |(mut input, reopen): (OrderedInput, Reopen)| {
            let kind = input.kind().to_owned();
            if is_few {
                return Member { input: Some(input), reopen: None, first: None, kind };
            }
            // What it says of itself now, it says again once it is read.
            let first = input.next(&mut InputCounters::default()).map(|observed| observed.time());
            Member { input: None, reopen: Some(reopen), first, kind }
        };
        Self::of(files.into_iter().map(member).collect())
    }

    fn of(members: Vec<Member>) -> Self {
        Self {
            heads: members.iter().map(|_| None).collect(),
            members,
            times: BinaryHeap::new(),
            started: false,
            stopped: false,
            counters: InputCounters::default(),
            warnings: Vec::new(),
        }
    }

    pub(super) fn warn(&mut self, warning: InputWarning) {
        self.warnings.push(warning);
    }

    fn advance(&mut self, number: usize) {
        let member = &mut self.members[number];
        let Some(input) = &mut member.input else { return };
        match input.next(&mut self.counters) {
            Some(observed) => {
                self.times.push(Reverse((observed.time(), number)));
                self.heads[number] = Some(observed);
            }
            None if member.reopen.is_some() => {
                self.warnings.extend(input.take_warnings());
                member.input = None;
            }
            None => {}
        }
    }

    fn start(&mut self) {
        self.started = true;
        for number in 0..self.members.len() {
            match (&self.members[number].input, self.members[number].first) {
                (Some(_), _) => self.advance(number),
                (None, Some(first)) => self.times.push(Reverse((first, number))),
                // Nothing came of it; what it has to say is still to be heard.
                (None, None) => self.open(number),
            }
        }
    }

    /// Opens a file whose time has come.
    fn open(&mut self, number: usize) {
        let Some(reopen) = self.members[number].reopen.as_ref().filter(|_| !self.stopped) else { return };
        match reopen() {
            Ok(input) => {
                self.members[number].input = Some(input);
                self.advance(number);
            }
            Err(error) => {
                let message = format!("could be read before, and now cannot: {error}");
                self.warnings.push(InputWarning { file: "input".into(), offset: None, message });
            }
        }
    }
}

impl Input for MergedInput {
    fn next(&mut self) -> Option<Observed> {
        if let [Member { input: Some(input), .. }] = self.members.as_mut_slice() {
            return input.next(&mut self.counters);
        }
        if !self.started {
            self.start();
        }
        loop {
            let Reverse((_, number)) = self.times.pop()?;
            let observed = self.heads[number].take();
            if observed.is_some() {
                self.advance(number);
                return observed;
            }
            self.open(number);
        }
    }

    fn counters(&self) -> &InputCounters {
        &self.counters
    }

    fn take_warnings(&mut self) -> Vec<InputWarning> {
        let mut warnings = std::mem::take(&mut self.warnings);
        let open = self.members.iter_mut().filter_map(|member| member.input.as_mut());
        warnings.extend(open.flat_map(OrderedInput::take_warnings));
        warnings
    }

    fn stop(&mut self) {
        self.stopped = true;
        self.members.iter_mut().filter_map(|member| member.input.as_mut()).for_each(OrderedInput::stop);
    }

    fn kind(&self) -> &str {
        let Some(first) = self.members.first().map(Member::kind) else {
            return "none";
        };
        if self.members.iter().all(|member| member.kind() == first) { first } else { "mixed" }
    }
}

impl Member {
    fn kind(&self) -> &str {
        match &self.input {
            // An input of exports knows its kind only once it has read some.
            Some(input) => input.kind(),
            None => &self.kind,
        }
    }
}
