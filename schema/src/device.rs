//! Devices, and virtual ones: what a row of `devices.csv` says, as far as the state repo may say it.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use crate::text::{excerpt, written};

/// A network card's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac([u8; 6]);

impl Mac {
    /// The six bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A text that is no network card's address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacError {
    text: String,
}

impl fmt::Display for MacError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no MAC address: six pairs of hexadecimal digits with colons are wanted",
            excerpt(&self.text)
        )
    }
}

impl std::error::Error for MacError {}

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let error = || MacError {
            text: text.to_owned(),
        };
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut pairs = text.split(separator);
        for byte in &mut bytes {
            let pair = pairs.next().ok_or_else(error)?;
            if pair.len() != 2 || !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(error());
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| error())?;
        }
        if pairs.next().is_some() {
            Err(error())
        } else {
            Ok(Self(bytes))
        }
    }
}

written!(
    Mac,
    "^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$|^[0-9a-fA-F]{2}(-[0-9a-fA-F]{2}){5}$",
    "The address of a network card: `52:54:00:12:34:56`."
);

/// The number of a virtual machine at its hypervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VmId(u32);

impl VmId {
    /// The number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for VmId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A text that is no number of a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmIdError {
    text: String,
}

impl fmt::Display for VmIdError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no number of a VM; accepted is one from 100 to 999999999",
            excerpt(&self.text)
        )
    }
}

impl std::error::Error for VmIdError {}

impl FromStr for VmId {
    type Err = VmIdError;

    fn from_str(text: &str) -> Result<Self, VmIdError> {
        let is_decimal = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_decimal);
        let number = number.filter(|number| (100..=999_999_999).contains(number));
        number.map(Self).ok_or_else(|| VmIdError {
            text: text.to_owned(),
        })
    }
}

/// How a device gets its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Address {
    /// It has this one.
    Fixed(Ipv4Addr),
    /// Any that is free.
    Dhcp,
}

impl Address {
    /// The address that it has always.
    #[must_use]
    pub const fn fixed(self) -> Option<Ipv4Addr> {
        match self {
            Self::Fixed(address) => Some(address),
            Self::Dhcp => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(address) => address.fmt(f),
            Self::Dhcp => f.write_str("dhcp"),
        }
    }
}

/// A text that is neither an address nor `dhcp`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddressError {
    text: String,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}` is no IPv4 address; accepted is one, as in `10.0.1.17`, or `dhcp`",
            excerpt(&self.text)
        )
    }
}

impl std::error::Error for AddressError {}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.eq_ignore_ascii_case("dhcp") {
            return Ok(Self::Dhcp);
        }
        let address = text.parse().map(Self::Fixed);
        address.map_err(|_| AddressError {
            text: text.to_owned(),
        })
    }
}

written!(
    Address,
    "^([0-9]{1,3}(\\.[0-9]{1,3}){3}|[dD][hH][cC][pP])$",
    "An IPv4 address, `10.0.1.17`, or `dhcp`."
);
