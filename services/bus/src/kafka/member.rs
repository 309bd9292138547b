//! A member of a consumer group over Kafka: one thread's consumer, its transactions, and its view of the logs.

use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{IsError, KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::MetadataTopic;
use rdkafka::topic_partition_list::TopicPartitionListElem;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use weir_schemas::Micros;

use super::assignment::{GroupContext, Positions};
use super::connect::{self, ConnectError, ConnectFault};
use super::decode;
use super::fault::FaultPlan;
use super::notices::{Notices, Warning};
use super::partition_reader::PartitionReader;
use super::remedy;
use super::settings::Settings;
use super::transactions::Transactions;
use super::writers::Writers;
use crate::member::{Committed, Event, FaultPoint, Member, MemberError, OffsetCommit, Remedy};
use crate::wire::AvroCodec;
use crate::{Delivery, Message, Value};

/// How long one question to a broker may take.
const CALL: Duration = Duration::from_secs(2);

/// How long a partition that was just assigned may take before it can be positioned.
const SEEK: Duration = Duration::from_millis(500);

/// Pause between attempts at that.
const SEEK_STEP: Duration = Duration::from_millis(10);

/// Clients that have nothing to do are looked after this often.
const TEND: Duration = Duration::from_secs(1);

/// A static member whose name was taken hears of it within two heartbeats (`heartbeat.interval.ms` is 3 s by default).
const HEAR: Duration = Duration::from_secs(7);

/// How long dropping may take: closing can hang while brokers are away (rust-rdkafka #453, #509).
const CLOSE: Duration = Duration::from_secs(5);

/// Who the member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// Consumer group.
    pub group: String,
    /// Input topic.
    pub topic: String,
    /// Topic where schemas are looked up that are met for the first time.
    pub schemas: String,
    /// Name of a static member; without it the group gives the partitions away as soon as the member leaves.
    pub instance_id: Option<String>,
    /// Name of its transactions: whoever registers it next fences this one.
    pub transactional_id: String,
}

/// The clients, apart so that they can be closed on a thread of their own.
struct Clients {
    consumer: BaseConsumer<GroupContext>,
    transactions: Transactions,
    reader: PartitionReader,
    watcher: BaseConsumer<Notices>,
}

/// A member of a group over Kafka.
pub struct KafkaMember {
    membership: Membership,
    /// Taken when dropped.
    clients: Option<Clients>,
    notices: Notices,
    positions: Positions,
    /// Some partition's offset is not in its log; the client does not say which.
    out_of_range: bool,
    codec: AvroCodec,
    writers: Writers,
    faults: FaultPlan,
    began: Instant,
    tended: Instant,
}

impl KafkaMember {
    /// Registers the transactional id and joins the group. Partitions come by [`Member::poll`].
    ///
    /// # Errors
    /// The brokers could not be worked with, for `patience` where trying again helps.
    pub fn join(settings: &Settings, membership: Membership, patience: Duration) -> Result<Self, ConnectError> {
        let notices = Notices::default();
        let watcher = connect::watcher(settings, &notices, patience)?;
        let topic = &membership.topic;
        match partition_count(&watcher, topic) {
            Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)) => {
                let cause = format!("topic {topic} does not exist");
                return Err(ConnectError::new(ConnectFault::Topic, settings, &cause));
            }
            Err(KafkaError::MetadataFetch(RDKafkaErrorCode::TopicAuthorizationFailed)) => {
                let cause = format!("topic {topic} is not ours to read");
                return Err(ConnectError::new(ConnectFault::Authorization, settings, &cause));
            }
            // What is not known yet, the first poll will tell.
            Ok(_) | Err(_) => {}
        }
        let transactions = Transactions::open(settings, &membership.transactional_id, &notices, patience)?;
        let reader = PartitionReader::open(settings, &membership.group, &notices)?;
        let consumer: BaseConsumer<GroupContext> = settings
            .member(&membership.group, membership.instance_id.as_deref())
            .create_with_context(GroupContext::new(notices.clone()))
            .map_err(|error| ConnectError::creation(settings, &error))?;
        consumer.subscribe(&[topic]).map_err(|error| ConnectError::creation(settings, &error))?;
        let now = Instant::now();
        Ok(Self {
            writers: Writers::new(&membership.schemas),
            membership,
            clients: Some(Clients { consumer, transactions, reader, watcher }),
            notices,
            positions: Positions::default(),
            out_of_range: false,
            codec: AvroCodec::default(),
            faults: FaultPlan::from_environment(),
            began: now,
            tended: now,
        })
    }

    /// What the clients met by themselves since the last time, each text once: for the log, every few seconds.
    pub fn take_warnings(&self) -> Vec<Warning> {
        self.notices.take_warnings()
    }

    fn clients(&self) -> Result<&Clients, MemberError> {
        self.clients.as_ref().ok_or_else(|| MemberError::restart("the member is closed; a bug in Weir"))
    }

    fn one(&self, partition: u32, offset: Offset) -> Result<TopicPartitionList, MemberError> {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition_offset(&self.membership.topic, partition.cast_signed(), offset)
            .map_err(|error| MemberError::restart(format!("partition {partition}: {error}")))?;
        Ok(list)
    }

    /// Puts the consumer at an offset of an assigned partition.
    ///
    /// By seeking, which the client refuses for a moment after an assignment, and for good once it has given the partition up
    /// because its offset was not in the log: then by assigning it anew.
    fn place(&mut self, partition: u32, offset: i64) -> Result<(), MemberError> {
        let deadline = Instant::now() + SEEK;
        while self.seek(partition, offset).is_err() {
            if Instant::now() >= deadline {
                return self.reassign(partition, offset);
            }
            self.wait(SEEK_STEP);
        }
        Ok(())
    }

    fn seek(&self, partition: u32, offset: i64) -> Result<(), MemberError> {
        let list = self.one(partition, Offset::Offset(offset))?;
        self.clients()?
            .consumer
            .seek_partitions(list, CALL)
            .and_then(|sought| sought.elements().iter().try_for_each(TopicPartitionListElem::error))
            .map_err(|error| MemberError::retry(format!("seek: {error}")))
    }

    fn reassign(&self, partition: u32, offset: i64) -> Result<(), MemberError> {
        let list = self.one(partition, Offset::Offset(offset))?;
        let consumer = &self.clients()?.consumer;
        consumer.incremental_unassign(&list).and_then(|()| consumer.incremental_assign(&list)).map_err(|error| {
            MemberError::retry(format!("start {}/{partition} at offset {offset}: {error}", self.membership.topic))
        })
    }

    fn set_paused(&self, partition: u32, is: bool) -> Result<(), MemberError> {
        let list = self.one(partition, Offset::Invalid)?;
        let consumer = &self.clients()?.consumer;
        let set = if is { consumer.pause(&list) } else { consumer.resume(&list) };
        set.map_err(|error| MemberError::retry(format!("pause or resume partition {partition}: {error}")))
    }

    /// Finds the partitions whose position is not in the log any more, and says so.
    fn report_out_of_range(&mut self, into: &mut Vec<Event>) -> Result<(), MemberError> {
        let started = self.positions.started();
        let mut found = Vec::new();
        for (partition, next) in &started {
            let topic = self.membership.topic.clone();
            // Not answered: the question stays open until the next poll.
            let Ok((start, end)) = self.bounds(&topic, *partition) else { return Ok(()) };
            if !(start..=end).contains(next) {
                found.push(*partition);
            }
        }
        self.out_of_range = false;
        for partition in &found {
            self.positions.stop(*partition);
            into.push(Event::OutOfRange { partition: *partition });
        }
        if !found.is_empty() {
            return Ok(());
        }
        // It is a partition that was not started, or one whose log begins where it stands by now: each goes on where it was.
        for (partition, next) in started {
            self.place(partition, next)?;
        }
        Ok(())
    }

    /// Takes what the group changed.
    fn take_changes(&mut self, into: &mut Vec<Event>) -> Result<(), MemberError> {
        let first = into.len();
        let clients = self.clients()?;
        clients.consumer.context().take(into).map_err(|error| {
            MemberError::restart(format!("group {}: an assignment failed: {error}", self.membership.group))
        })?;
        for event in &into[first..] {
            if let Event::Assigned(partitions) | Event::Revoked(partitions) = event {
                for partition in partitions {
                    self.positions.stop(*partition);
                }
            }
        }
        Ok(())
    }

    /// The group says that another member has this one's name. It may be this one's own former self: a static member that the
    /// brokers lost sight of joins under a new id, and what it sent under the old one is refused when it arrives after all
    /// (librdkafka #3437). A true successor has taken the transactional id as well, before it joined.
    fn fenced(&self) -> MemberError {
        let question = self.clients().and_then(|clients| {
            clients.transactions.require_ours(&self.membership.topic, || clients.consumer.group_metadata())
        });
        let group = &self.membership.group;
        question.err().unwrap_or_else(|| {
            MemberError::restart(format!("group {group} took this member for another of its name, and there is none"))
        })
    }

    /// The transactional id seems to be another's. So it looks, too, where the coordinator gave a transaction up because its time
    /// was over (KIP-588, of which librdkafka knows nothing yet). A true successor has the static member's name as well, or is
    /// about to take it.
    fn outdone(&self, error: MemberError) -> MemberError {
        // Of a dynamic member's successor nothing would be heard.
        if error.remedy != Remedy::Leave || self.membership.instance_id.is_none() {
            return error;
        }
        let deadline = Instant::now() + HEAR;
        while let Some(clients) = &self.clients
            && Instant::now() < deadline
        {
            // Whatever is delivered now comes again: the member is at its end.
            let heard = clients.consumer.poll(deadline.saturating_duration_since(Instant::now()));
            if let Some(Err(fenced)) = heard
                && fenced.rdkafka_error_code() == Some(RDKafkaErrorCode::FencedInstanceId)
            {
                return error;
            }
        }
        MemberError::restart(format!("{}; and nobody has taken the member's place", error.detail))
    }

    /// Looks after clients that are not polled for what they deliver: their errors are events too.
    fn tend(&mut self) -> Result<(), MemberError> {
        if self.tended.elapsed() < TEND {
            return Ok(());
        }
        self.tended = Instant::now();
        let clients = self.clients()?;
        clients.transactions.serve(connect::SERVE);
        clients.reader.serve();
        connect::serve(&clients.watcher);
        Ok(())
    }

    /// One look at the consumer: true where there was something.
    fn poll_once(&mut self, wait: Duration, into: &mut Vec<Event>) -> Result<bool, MemberError> {
        let Some(Clients { consumer, reader, .. }) = &mut self.clients else {
            return Err(MemberError::restart("the member is closed; a bug in Weir"));
        };
        match consumer.poll(wait) {
            Some(Ok(message)) => {
                if let Some(partition) = self.positions.advance(message.partition(), message.offset()) {
                    let topic = &self.membership.topic;
                    let mut delivery = decode::queued_delivery_of(topic, &self.codec, &message);
                    if let Err(error) = resolve(topic, &mut delivery, &mut self.writers, reader, &self.notices) {
                        // Not known what it is: it is to come again.
                        drop(message);
                        self.positions.start(partition, delivery.offset);
                        self.place(partition, delivery.offset)?;
                        return Err(error);
                    }
                    into.push(Event::Record { partition, delivery });
                }
                return Ok(true);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                into.extend(self.positions.started_at(partition).map(|partition| Event::End { partition }));
                return Ok(true);
            }
            Some(Err(error)) => match error.rdkafka_error_code() {
                Some(RDKafkaErrorCode::AutoOffsetReset) => self.out_of_range = true,
                Some(RDKafkaErrorCode::FencedInstanceId) => return Err(self.fenced()),
                _ => remedy::of_poll(&error).map_or(Ok(()), Err)?,
            },
            None => {}
        }
        // Nothing came, or the group changed something: both look alike to the client.
        let before = into.len();
        self.take_changes(into)?;
        if self.out_of_range {
            self.report_out_of_range(into)?;
        }
        Ok(into.len() > before)
    }
}

impl Member for KafkaMember {
    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    fn time_of_day(&self) -> Micros {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Micros::try_from(since_epoch.as_micros()).unwrap_or(Micros::MAX)
    }

    fn wait(&mut self, duration: Duration) {
        if let Some(clients) = &self.clients {
            clients.transactions.serve(duration);
        }
    }

    fn partition_count(&mut self, topic: &str) -> Result<u32, MemberError> {
        partition_count(&self.clients()?.watcher, topic)
            .map_err(|error| remedy::of_question(&format!("ask for the partitions of {topic}"), &error))
    }

    fn bounds(&mut self, topic: &str, partition: u32) -> Result<(i64, i64), MemberError> {
        let watcher = &self.clients()?.watcher;
        watcher
            .fetch_watermarks(topic, partition.cast_signed(), CALL)
            .map_err(|error| remedy::of_question(&format!("ask for the ends of {topic}/{partition}"), &error))
    }

    fn read(
        &mut self,
        topic: &str,
        partition: u32,
        offset: i64,
        max: usize,
        into: &mut Vec<Delivery>,
    ) -> Result<bool, MemberError> {
        let Some(Clients { reader, .. }) = &mut self.clients else {
            return Err(MemberError::restart("the member is closed; a bug in Weir"));
        };
        let first = into.len();
        let is_end = reader.read(topic, partition, offset, max, into)?;
        for delivery in &mut into[first..] {
            resolve(topic, delivery, &mut self.writers, reader, &self.notices)?;
        }
        Ok(is_end)
    }

    fn committed(&mut self, partitions: &[u32]) -> Result<Vec<Option<Committed>>, MemberError> {
        if partitions.is_empty() {
            return Ok(Vec::new());
        }
        let what = |error: &KafkaError| {
            remedy::of_question(&format!("ask for the offsets of group {}", self.membership.group), error)
        };
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition(&self.membership.topic, partition.cast_signed());
        }
        // The client asks for stable offsets, as it reads committed records only: it waits for a pending commit.
        let list = self.clients()?.consumer.committed_offsets(list, CALL).map_err(|error| what(&error))?;
        partitions
            .iter()
            .map(|partition| {
                let element = list
                    .find_partition(&self.membership.topic, partition.cast_signed())
                    .ok_or_else(|| MemberError::retry(format!("no answer for partition {partition}")))?;
                element.error().map_err(|error| what(&error))?;
                Ok(match element.offset() {
                    Offset::Offset(offset) => Some(Committed { offset, metadata: element.metadata().to_owned() }),
                    _ => None,
                })
            })
            .collect()
    }

    fn poll(&mut self, wait: Duration, max: usize, into: &mut Vec<Event>) -> Result<(), MemberError> {
        self.tend()?;
        let first = into.len();
        let deadline = Instant::now() + wait;
        while into.len() == first {
            let left = deadline.saturating_duration_since(Instant::now());
            let met = self.poll_once(left, into)?;
            if !met && left.is_zero() {
                return Ok(());
            }
        }
        while into.len() < first + max && self.poll_once(Duration::ZERO, into)? {}
        Ok(())
    }

    fn start(&mut self, partition: u32, offset: i64) -> Result<(), MemberError> {
        self.positions.stop(partition);
        self.place(partition, offset)?;
        self.positions.start(partition, offset);
        self.set_paused(partition, false)
    }

    fn pause(&mut self, partition: u32) -> Result<(), MemberError> {
        self.set_paused(partition, true)
    }

    fn resume(&mut self, partition: u32) -> Result<(), MemberError> {
        let Some(next) = self.positions.next(partition) else { return Ok(()) };
        // Pausing drops what the client had fetched, and with it the news that the partition's offset was not in the log.
        self.place(partition, next)?;
        self.set_paused(partition, false)
    }

    fn begin(&mut self) -> Result<(), MemberError> {
        self.clients()?.transactions.begin().map_err(|error| self.outdone(error))
    }

    fn send(&mut self, message: &Message) -> Result<(), MemberError> {
        self.clients()?.transactions.send(message).map_err(|error| self.outdone(error))
    }

    fn send_offsets(&mut self, offsets: &[OffsetCommit]) -> Result<(), MemberError> {
        let clients = self.clients()?;
        // Never kept from one transaction to the next: it names the generation that the commit is checked against.
        let Some(member) = clients.consumer.group_metadata() else {
            return Err(MemberError::restart("the consumer has no group; a bug in Weir"));
        };
        clients.transactions.send_offsets(&self.membership.topic, offsets, member).map_err(|error| self.outdone(error))
    }

    fn commit(&mut self) -> Result<(), MemberError> {
        self.clients()?.transactions.commit().map_err(|error| self.outdone(error))
    }

    fn abort(&mut self) -> Result<(), MemberError> {
        self.clients()?.transactions.abort().map_err(|error| self.outdone(error))
    }

    fn pass(&mut self, point: FaultPoint) -> Result<(), MemberError> {
        self.faults.pass(point);
        Ok(())
    }
}

impl Drop for KafkaMember {
    fn drop(&mut self) {
        let Some(clients) = self.clients.take() else { return };
        let (closed, close) = mpsc::channel();
        // On a thread of its own, left behind where it hangs: the process is about to end, or to make a new member.
        std::thread::spawn(move || {
            clients.consumer.unsubscribe();
            drop(clients);
            // Nobody may be waiting any more.
            let _ = closed.send(());
        });
        let _ = close.recv_timeout(CLOSE);
    }
}

/// Reads what another version wrote; what nobody can read stays as it is.
fn resolve(
    topic: &str,
    delivery: &mut Delivery,
    writers: &mut Writers,
    reader: &mut PartitionReader,
    notices: &Notices,
) -> Result<(), MemberError> {
    if let Value::Bytes(bytes) = &delivery.value
        && let Some(value) = writers.value_of(topic, bytes, reader, notices)?
    {
        delivery.value = value;
    }
    Ok(())
}

pub(super) fn partition_count(watcher: &BaseConsumer<Notices>, topic: &str) -> Result<u32, KafkaError> {
    let metadata = watcher.fetch_metadata(Some(topic), CALL)?;
    let found = metadata.topics().iter().find(|found| found.name() == topic);
    if let Some(error) = found.and_then(MetadataTopic::error).filter(IsError::is_error) {
        return Err(KafkaError::MetadataFetch(error.into()));
    }
    match found.map_or(0, |found| found.partitions().len()) {
        0 => Err(KafkaError::MetadataFetch(RDKafkaErrorCode::UnknownTopicOrPartition)),
        count => Ok(count as u32),
    }
}
