// title: Products that may be one
// description: Pairs of products that carry the same trade item number, the same title, or texts that mean nearly the
//   same, the most suspicious first: a shared number, then few differences, then the likeness of the texts. What speaks
//   against a pair stands beside what speaks for it: another maker, another price by more than a half in the same
//   currency, or another value of an attribute that is a quantity. Variants are left out. Pages through the products by
//   sku; each pair is shown with the product whose sku comes first.
// param least: FLOAT in 0..1 = 0.95 -- least cosine of two texts that arouses suspicion
// param after: STRING = '' -- sku after which to go on
// param products: INTEGER = 200 -- most products that are looked at
// param limit: INTEGER = 100 -- most rows to return
// example: {}
// returns: sku STRING, title STRING, other STRING, other_title STRING, likeness FLOAT, speaks_for LIST<STRING>,
//   speaks_against LIST<STRING>

CYPHER 25
MATCH (p:Product)
WHERE p.sku > $after
WITH p
ORDER BY p.sku
LIMIT $products
CALL (p) {
  MATCH (q:Product {gtin: p.gtin})
  RETURN q, 'same trade item number' AS reason, null AS likeness
  LIMIT 20
UNION ALL
  // All that Lucene might take for an operator becomes a space, its words lose their capitals.
  LET plain = reduce(s = toLower(p.title), c IN split('+ - & | ! ( ) { } [ ] ^ " ~ * ? : \\ / < > =', ' ') |
                     replace(s, c, ' '))
  FILTER trim(plain) <> ''
  CALL (plain) {
    MATCH (q:Product)
      SEARCH q IN (FULLTEXT INDEX product_fulltext FOR plain LIMIT 10)
    RETURN q
  }
  FILTER toLower(trim(q.title)) = toLower(trim(p.title))
  RETURN q, 'same title' AS reason, null AS likeness
UNION ALL
  CALL (p) {
    WHEN p.text_embedding IS NOT NULL THEN {
      MATCH (q:Product)
        SEARCH q IN (VECTOR INDEX product_text FOR p.text_embedding LIMIT 10)
        SCORE AS similarity
      // The index gives (1 + cosine) / 2.
      RETURN q, 2.0 * similarity - 1.0 AS likeness
    }
  }
  FILTER likeness >= $least
  RETURN q, 'texts alike' AS reason, likeness
}
WITH p, q, reason, likeness
WHERE q.sku > p.sku AND NOT EXISTS { (p)-[:VARIANT_OF]-(q) }
  AND NOT EXISTS { (p)-[:VARIANT_OF]->(:Product)<-[:VARIANT_OF]-(q) }
WITH p, q, collect(DISTINCT reason) AS speaks_for, max(likeness) AS likeness
CALL (p, q) {
  CALL (p, q) {
    MATCH (p)-[:MADE_BY]->(a:Brand)
    MATCH (q)-[:MADE_BY]->(b:Brand)
    WITH p, q, collect(DISTINCT a.key) AS mine, collect(DISTINCT b.key) AS theirs, min(a.name) AS one,
         min(b.name) AS other
    FILTER none(key IN mine WHERE key IN theirs)
    RETURN 'makers: ' + one + ' and ' + other AS difference
  UNION ALL
    MATCH (p)-[:HAS_ATTRIBUTE]->(a:AttributeValue)
    WHERE a.number IS NOT NULL
    MATCH (q)-[:HAS_ATTRIBUTE]->(b:AttributeValue {attribute: a.attribute})
    WHERE b.number IS NOT NULL
    WITH a.attribute AS attribute, collect(DISTINCT a.key) AS mine, collect(DISTINCT b.key) AS theirs
    FILTER none(key IN mine WHERE key IN theirs)
    RETURN 'values of ' + attribute AS difference
    ORDER BY difference
  UNION ALL
    WITH p, q
    FILTER coalesce(p.currency, '') = coalesce(q.currency, '')
    FILTER p.price > 1.5 * q.price OR q.price > 1.5 * p.price
    RETURN 'prices: ' + p.price + ' and ' + q.price AS difference
  }
  RETURN collect(difference) AS speaks_against
}
RETURN p.sku AS sku, p.title AS title, q.sku AS other, q.title AS other_title, likeness, speaks_for, speaks_against
ORDER BY 'same trade item number' IN speaks_for DESC, size(speaks_against), coalesce(likeness, 1.0) DESC, sku, other
LIMIT $limit
