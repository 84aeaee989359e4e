//! Many rows of parameters in one statement.

use tokio_postgres::types::Type;

/// Rewrites a statement for one row of parameters into one for any number of rows, which are passed as
/// one array per parameter: a thousand rows are one statement to parse, plan and execute.
///
/// `INSERT … VALUES (?1, ?2)` becomes `INSERT … SELECT given.p1, given.p2 FROM unnest($1, $2)`, and
/// `UPDATE … WHERE id = ?1` becomes `UPDATE … FROM unnest($1) … WHERE id = given.p1`; `DELETE` likewise, where
/// the standard has the word `USING` for that.
/// `None` for a statement of another form.
pub(super) fn for_many(sql: &str, types: &[Type]) -> Option<String> {
    let numbers = || 1..=types.len();
    let arrays = numbers().zip(types).map(|(number, it)| format!("${number}::{}[]", it.name()));
    let names = numbers().map(|number| format!("p{number}"));
    let is_delete = sql.trim_start().starts_with("DELETE");
    let given = format!(
        "{} unnest({}) AS given ({})",
        if is_delete { "USING" } else { "FROM" },
        arrays.collect::<Vec<_>>().join(", "),
        names.collect::<Vec<_>>().join(", ")
    );
    let sql = match (sql.split_once("VALUES ("), sql.split_once("WHERE")) {
        (Some((into, values)), _) => {
            let (values, rest) = values.split_once(')')?;
            if values.contains('(') {
                return None;
            }
            format!("{into}SELECT {values} {given}{rest}")
        }
        (None, Some((set, condition))) => format!("{set}{given} WHERE{condition}"),
        (None, None) => return None,
    };
    Some(sql.replace('?', "given.p"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_for_one_row_is_rewritten_for_many() {
        let insert = "INSERT INTO seen (id, at) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING";
        assert_eq!(
            for_many(insert, &[Type::UUID, Type::INT8]),
            Some(
                "INSERT INTO seen (id, at) SELECT given.p1, given.p2 \
                 FROM unnest($1::uuid[], $2::int8[]) AS given (p1, p2) ON CONFLICT (id) DO NOTHING"
                    .to_owned()
            )
        );
        assert_eq!(
            for_many("UPDATE seen SET at = ?2 WHERE id = ?1", &[Type::UUID, Type::INT8]),
            Some(
                "UPDATE seen SET at = given.p2 \
                 FROM unnest($1::uuid[], $2::int8[]) AS given (p1, p2) WHERE id = given.p1"
                    .to_owned()
            )
        );
        assert_eq!(
            for_many("DELETE FROM seen WHERE id = ?1", &[Type::UUID]),
            Some(
                "DELETE FROM seen USING unnest($1::uuid[]) AS given (p1) WHERE id = given.p1"
                    .to_owned()
            )
        );
        assert_eq!(for_many("DELETE FROM seen", &[]), None);
        assert_eq!(for_many("INSERT INTO seen (id) VALUES ((SELECT ?1))", &[Type::UUID]), None);
    }
}
