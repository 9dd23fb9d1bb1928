//! Initial passwords: generated when executed, handed to the host, kept nowhere.

use std::fmt::Debug;

use async_trait::async_trait;

use crate::connector::ObjectKey;
use crate::error::Result;
use crate::id::{IdentityId, RealmId, TargetName};
use crate::policy::CredentialPolicy;
use crate::runtime::Random;
use crate::value::Secret;

/// Brings an initial password to the person. The host implements it (a link, a sealed letter, the manager).
#[async_trait]
pub trait CredentialDelivery: Debug + Send + Sync {
    /// Takes the password over. Called once the target has accepted it. A failure does not undo the account: it is in
    /// the audit stream as `account.password_undelivered`, and somebody sets another password.
    ///
    /// It has as long as a call to the target may take (`timeout_seconds`). One that has not answered by then is
    /// dropped and has failed, whatever it still does: hand a slow carrier's work to a queue and return.
    async fn deliver(
        &self,
        realm: &RealmId,
        identity: IdentityId,
        target: &TargetName,
        key: &ObjectKey,
        password: &Secret,
    ) -> Result<()>;
}

/// Characters by class; look-alikes and characters that fragile targets choke on are left out.
const CLASSES: [&[u8]; 4] =
    [b"abcdefghijkmnopqrstuvwxyz", b"ABCDEFGHJKLMNPQRSTUVWXYZ", b"23456789", b"!#%*+-.=?@_"];

/// A password of the policy's length with every class in it.
pub(crate) fn generate(policy: &CredentialPolicy, random: &dyn Random) -> Result<Secret> {
    let length = (policy.length as usize).clamp(12, 256);
    let mut characters: Vec<char> = Vec::with_capacity(length);
    for index in 0..length {
        // One of each class first, then from all; the order is shuffled below.
        let class = match CLASSES.get(index) {
            Some(class) => class.to_vec(),
            None => CLASSES.concat(),
        };
        let pick = below(class.len(), random)?;
        characters.extend(class.get(pick).map(|byte| char::from(*byte)));
    }
    for index in (1..characters.len()).rev() {
        let other = below(index + 1, random)?;
        characters.swap(index, other);
    }
    Ok(Secret::new(characters.into_iter().collect::<String>()))
}

/// A number below `limit` (at most 256) without bias, by rejection.
fn below(limit: usize, random: &dyn Random) -> Result<usize> {
    let limit = limit.max(1);
    let fair = 256 - 256 % limit;
    loop {
        let mut byte = [0u8; 1];
        random.fill(&mut byte)?;
        let [byte] = byte;
        if usize::from(byte) < fair {
            return Ok(usize::from(byte) % limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::SeededRandom;

    #[test]
    fn generated_passwords_have_every_class_and_differ() {
        let random = SeededRandom::new(7);
        let policy = CredentialPolicy { length: 16, must_change: true };
        let first = generate(&policy, &random).unwrap();
        let second = generate(&policy, &random).unwrap();
        assert_ne!(first, second);
        for class in CLASSES {
            assert!(first.expose().bytes().any(|byte| class.contains(&byte)));
        }
        assert_eq!(first.expose().chars().count(), 16);
        assert_eq!(format!("{first:?}"), "[secret]");
    }

    /// Gives these bytes, the last one first.
    #[derive(Debug)]
    struct Bytes(std::sync::Mutex<Vec<u8>>);

    impl Random for Bytes {
        fn fill(&self, bytes: &mut [u8]) -> Result<()> {
            let mut left = self.0.lock().unwrap();
            bytes.fill_with(|| left.pop().expect("no more is asked for"));
            Ok(())
        }
    }

    #[test]
    fn bytes_that_would_favour_some_numbers_are_not_used() {
        let picked = |bytes: &[u8], limit| below(limit, &Bytes(bytes.to_vec().into())).unwrap();
        assert_eq!(picked(&[254, 255], 3), 2, "255 would make 0 likelier than 2");
        assert_eq!([0, 1, 2, 3, 200].map(|byte| picked(&[byte], 3)), [0, 1, 2, 0, 2]);
        assert_eq!([0, 7, 255].map(|byte| picked(&[byte], 256)), [0, 7, 255]);
        assert_eq!(picked(&[9], 0), 0);
    }

    #[test]
    fn where_the_classes_stand_is_left_to_chance() {
        let random = SeededRandom::new(11);
        let policy = CredentialPolicy { length: 12, must_change: true };
        let passwords: Vec<Secret> = (0..4_000).map(|_| generate(&policy, &random).unwrap()).collect();
        // One small letter for certain and 25 of 69 characters for each of the eight that are free: 32.5 % of all.
        for place in 0..12 {
            let small = |password: &&Secret| password.expose().as_bytes()[place].is_ascii_lowercase();
            let share = passwords.iter().filter(small).count() as f64 / 4_000.0;
            assert!((share - 0.325).abs() < 0.03, "{place}: {share}");
        }
    }
}
