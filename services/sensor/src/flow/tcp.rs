//! TCP as Zeek tells it: the state of each end, `conn_state` words, history letters.
//!
//! Source: Zeek, `base/protocols/conn/main.zeek` (`conn_state`) and its documentation of `history`.

use crate::packet::tcp_flag::{ACK, FIN, RST, SYN};

/// How far one end has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum EndState {
    /// It has sent nothing.
    #[default]
    Inactive,
    /// It sent a SYN.
    SynSent,
    /// It sent a SYN-ACK to a SYN that was not seen.
    SynAckSent,
    /// It sent, and its SYN was not seen.
    Partial,
    /// It took part in a handshake.
    Established,
    /// It sent a FIN.
    Closed,
    /// It sent a RST.
    Reset,
}

/// The letters of the history, in the order of their codes.
const LETTERS: [u8; 8] = *b"shadfrqi";

/// Both ends' states and the history. Ends are the key's: upper and lower case are chosen when printed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TcpTrack {
    pub(super) ends: [EndState; 2],
    /// Four bits a letter, oldest lowest: code, and the end in the fourth bit.
    history: u64,
    /// Letters in `history`: each of the 16 at most once.
    pub(super) history_length: u8,
    history_seen: u16,
}

impl TcpTrack {
    /// Notes a segment sent by `end`.
    pub(super) fn segment(&mut self, end: usize, flags: u8, payload: u32) {
        self.note_letters(end, flags, payload);
        let peer = 1 - end;
        if flags & RST != 0 {
            self.ends[end] = EndState::Reset;
            return;
        }
        match (flags & SYN != 0, flags & ACK != 0) {
            (true, false) if self.ends[end] == EndState::Inactive => self.ends[end] = EndState::SynSent,
            (true, true) if self.ends[peer] == EndState::SynSent => self.ends = [EndState::Established; 2],
            (true, true) if self.ends[end] == EndState::Inactive => self.ends[end] = EndState::SynAckSent,
            (false, true) if self.ends[end] == EndState::SynSent => self.ends[end] = EndState::Established,
            (false, _) if self.ends[end] == EndState::Inactive => self.ends[end] = EndState::Partial,
            _ => {}
        }
        if flags & FIN != 0 {
            self.ends[end] = EndState::Closed;
        }
    }

    /// Both ends sent a FIN.
    pub(super) fn both_closed(&self) -> bool {
        self.ends == [EndState::Closed; 2]
    }

    fn note_letters(&mut self, end: usize, flags: u8, payload: u32) {
        let syn = flags & SYN != 0;
        let letter = match () {
            () if syn && flags & (FIN | RST) != 0 => Some(6),
            () if flags & (FIN | RST) == FIN | RST => Some(7),
            () if flags & RST != 0 => Some(5),
            () if syn && flags & ACK != 0 => Some(1),
            () if syn => Some(0),
            () if payload == 0 && flags & FIN == 0 && flags & ACK != 0 => Some(2),
            () => None,
        };
        if let Some(code) = letter {
            self.note(end, code);
        }
        if payload > 0 {
            self.note(end, 3);
        }
        if flags & (FIN | SYN | RST) == FIN {
            self.note(end, 4);
        }
    }

    fn note(&mut self, end: usize, code: u8) {
        let nibble = code | (end as u8) << 3;
        if self.history_seen & 1 << nibble != 0 {
            return;
        }
        self.history_seen |= 1 << nibble;
        self.history |= u64::from(nibble) << (4 * self.history_length);
        self.history_length += 1;
    }

    /// The first `length` letters, upper case for those of `source`.
    pub(super) fn history(&self, length: u8, source: usize) -> String {
        let letter = |index: u8| {
            let nibble = (self.history >> (4 * index)) as u8 & 0xf;
            let letter = LETTERS[usize::from(nibble & 7)];
            char::from(if usize::from(nibble >> 3) == source { letter.to_ascii_uppercase() } else { letter })
        };
        (0..length).map(letter).collect()
    }
}

/// `conn_state` of a flow whose source and responder have come this far.
pub(super) fn conn_state(source: EndState, responder: EndState) -> &'static str {
    use EndState::{Closed, Established, Inactive, Partial, Reset, SynAckSent, SynSent};
    let source_inactive = matches!(source, Inactive | Partial);
    match (source, responder) {
        (SynSent | SynAckSent, Reset) => "REJ",
        (_, Reset) if source_inactive => "RSTRH",
        (_, Reset) => "RSTR",
        (Reset, Inactive | Partial) => "RSTOS0",
        (Reset, _) => "RSTO",
        (Closed, Closed) => "SF",
        (Closed, Inactive | Partial) => "SH",
        (Closed, _) => "S2",
        (_, Closed) if source_inactive => "SHR",
        (_, Closed) => "S3",
        (SynSent, Inactive) => "S0",
        (Established, Established) => "S1",
        _ => "OTH",
    }
}
