//! What helps after an error of librdkafka: the one place that reads its codes and flags.
//!
//! Source: librdkafka's `INTRODUCTION.md`, "Transactional producer"; Apache Kafka KIP-98, KIP-360, KIP-447.

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::member::{MemberError, Remedy};

/// After a call of a transaction.
pub(super) fn of_transaction(what: &str, error: &KafkaError) -> MemberError {
    MemberError { remedy: transaction_remedy(error), detail: format!("{what}: {error}") }
}

/// After a question that changes nothing: asked again until the caller's patience ends, unless asking is forbidden.
pub(super) fn of_question(what: &str, error: &KafkaError) -> MemberError {
    match error.rdkafka_error_code() {
        Some(code) if is_forbidden(code) => forbidden(what, error),
        _ => MemberError::retry(format!("{what}: {error}")),
    }
}

/// After an error that a poll returned; none where the client mends it by itself.
pub(super) fn of_poll(error: &KafkaError) -> Option<MemberError> {
    let code = error.rdkafka_error_code()?;
    if is_forbidden(code) {
        return Some(forbidden("consume", error));
    }
    let is_fatal = matches!(error, KafkaError::MessageConsumptionFatal(_)) || code == RDKafkaErrorCode::Fatal;
    is_fatal.then(|| MemberError::restart(format!("consume: {error}")))
}

fn forbidden(what: &str, error: &KafkaError) -> MemberError {
    MemberError::restart(format!("{what}: {error}; grant what the service needs, trying again does not help"))
}

fn transaction_remedy(error: &KafkaError) -> Remedy {
    let KafkaError::Transaction(error) = error else {
        return match error {
            // Deliveries were still under way: the transaction is as it was.
            KafkaError::Flush(_) => Remedy::Retry,
            _ => Remedy::Restart,
        };
    };
    match error.code() {
        RDKafkaErrorCode::Fenced | RDKafkaErrorCode::ProducerFenced => return Remedy::Leave,
        _ => {}
    }
    // The order matters: an error that requires an abort stays so however often the call is repeated. An invalid epoch that
    // may be aborted comes of a transaction that the coordinator gave up; of a true successor the abort will tell.
    // Likewise a fenced instance: a static member that joins anew after an outage is told so of its own former self; of a true
    // successor the next poll will tell.
    if error.is_fatal() {
        return if error.code() == RDKafkaErrorCode::InvalidProducerEpoch { Remedy::Leave } else { Remedy::Restart };
    }
    if error.txn_requires_abort() {
        return Remedy::Abort;
    }
    if error.is_retriable() || error.code() == RDKafkaErrorCode::OperationTimedOut {
        return Remedy::Retry;
    }
    Remedy::Restart
}

pub(super) fn is_forbidden(code: RDKafkaErrorCode) -> bool {
    matches!(
        code,
        RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
    )
}
