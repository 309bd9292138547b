//! VXLAN (RFC 7348) with its group policy extension (draft-smith-vxlan-group-policy).

use super::{DecodeError, Header, Inner, Parsed};

/// IANA's port, the receiver's; the sender's is a hash of the inner flow.
pub(super) const PORT: u16 = 4789;

const VNI_VALID: u8 = 0x08;
const GROUP_POLICY: u8 = 0x80;

pub(super) fn parse(data: &[u8]) -> Parsed {
    let Some(&[flags, policy, group_high, group_low, a, b, c, reserved]) = data.first_chunk::<8>() else {
        return Parsed::Other;
    };
    let has_policy = flags & GROUP_POLICY != 0;
    let fits = flags & !GROUP_POLICY == VNI_VALID
        && reserved == 0
        && (has_policy || (policy, group_high, group_low) == (0, 0, 0));
    if !fits {
        return Parsed::Other;
    }
    let id = u32::from_be_bytes([0, a, b, c]);
    Parsed::Header(Header { kind: "vxlan", id, length: 8, inner: Inner::Ethernet, error: DecodeError::Vxlan })
}
