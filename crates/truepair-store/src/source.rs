//! Where objects are found and read: a bucket, or the web.

use std::ops::Range;

use crate::bucket::Bucket;
use crate::error::StoreError;
use crate::location::{Location, Service};
use crate::object::{ByteStream, Found, RemoteObject};
use crate::web::Web;

/// Who is asked.
#[derive(Debug)]
pub(crate) enum Source {
    Bucket(Bucket),
    Web(Web),
}

impl Source {
    /// # Errors
    /// If the variables do not say how to reach it.
    pub(crate) fn open(
        location: &Location,
        variables: &[(String, String)],
    ) -> Result<Self, StoreError> {
        Ok(match location.service {
            Service::Web => Self::Web(Web::open(location, variables)?),
            _ => Self::Bucket(Bucket::open(location, variables)?),
        })
    }

    /// What lies at the location.
    pub(crate) async fn find(&self, location: &Location) -> Result<Found, StoreError> {
        match self {
            Self::Bucket(bucket) => bucket.find(location).await,
            Self::Web(web) => web.find(location).await,
        }
    }

    /// The bytes of an object, or a range of them.
    pub(crate) async fn read(
        &self,
        object: &RemoteObject,
        range: Option<Range<u64>>,
    ) -> Result<ByteStream, StoreError> {
        match self {
            Self::Bucket(bucket) => bucket.read(object, range).await,
            Self::Web(web) => web.read(object, range).await,
        }
    }
}
