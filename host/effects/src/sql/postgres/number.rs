//! `numeric` as text.

/// PostgreSQL's decimal number, digit for digit. Nothing where the bytes are none.
pub(super) fn numeric(raw: &[u8]) -> Option<String> {
    let word = |at: usize| Some(i16::from_be_bytes(raw.get(at..at + 2)?.try_into().ok()?));
    let (count, weight, sign, scale) = (word(0)?, word(2)?, word(4)?, word(6)?);
    match u16::from_be_bytes(sign.to_be_bytes()) {
        0xC000 => return Some("NaN".to_owned()),
        0xD000 => return Some("Infinity".to_owned()),
        0xF000 => return Some("-Infinity".to_owned()),
        0x0000 | 0x4000 => {}
        _ => return None,
    }
    let (count, scale) = (usize::try_from(count).ok()?, usize::try_from(scale).ok()?);
    if raw.len() != 8 + 2 * count {
        return None;
    }
    // Groups of four digits; the first has the weight 10000^weight.
    let group = |power: i32| {
        let at = usize::try_from(i32::from(weight) - power).ok().filter(|at| *at < count)?;
        word(8 + 2 * at)
    };
    let mut text = String::from(if sign == 0x4000 { "-" } else { "" });
    let mut whole = String::new();
    for power in (0..=i32::from(weight).max(0)).rev() {
        whole.push_str(&format!("{:04}", group(power).unwrap_or(0)));
    }
    let digits = whole.trim_start_matches('0');
    text.push_str(if digits.is_empty() { "0" } else { digits });
    if scale > 0 {
        let mut fraction = String::new();
        let mut power = -1;
        while fraction.len() < scale {
            fraction.push_str(&format!("{:04}", group(power).unwrap_or(0)));
            power -= 1;
        }
        text.push('.');
        text.push_str(fraction.get(..scale)?);
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(weight: i16, sign: u16, scale: i16, groups: &[i16]) -> Vec<u8> {
        let mut raw = i16::try_from(groups.len()).unwrap().to_be_bytes().to_vec();
        raw.extend(weight.to_be_bytes());
        raw.extend(sign.to_be_bytes());
        raw.extend(scale.to_be_bytes());
        groups.iter().for_each(|group| raw.extend(group.to_be_bytes()));
        raw
    }

    #[test]
    fn decimals() {
        for (weight, sign, scale, groups, text) in [
            (0, 0, 0, vec![], "0"),
            (0, 0, 2, vec![], "0.00"),
            (0, 0, 0, vec![7], "7"),
            (1, 0x4000, 3, vec![1, 2345, 6780], "-12345.678"),
            (-1, 0, 4, vec![12], "0.0012"),
            (-2, 0, 8, vec![5000], "0.00005000"),
            (2, 0, 0, vec![1], "100000000"),
            (0, 0xC000, 0, vec![], "NaN"),
            (0, 0xD000, 0, vec![], "Infinity"),
            (0, 0xF000, 0, vec![], "-Infinity"),
        ] {
            assert_eq!(numeric(&raw(weight, sign, scale, &groups)).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for bytes in [&[][..], &[0, 1, 0, 0, 0, 0, 0, 0], &[0, 0, 0, 0, 0x12, 0, 0, 0], &[0xff; 12]] {
            assert_eq!(numeric(bytes), None);
        }
    }
}
