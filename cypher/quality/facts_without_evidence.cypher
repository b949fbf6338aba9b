// title: Extracted facts that no text supports
// description: Must give no row. One row a product with extracted relationships whose evidence is gone or hangs on no
//   document, or that have no fact id by which to find it. The products are read in the order of their sku, so that a
//   large graph can be audited page by page: pass the last sku seen as $after.
// param after: STRING = '' -- only products with a greater sku
// param limit: INTEGER = 100 -- most rows to return
// example: {}
// returns: sku STRING, facts LIST<MAP>

CYPHER 25
MATCH (p:Product)
WHERE p.sku > $after
CALL (p) {
  MATCH
    (p)-[f:MADE_BY|IN_CATEGORY|HAS_ATTRIBUTE|COMPATIBLE_WITH|ACCESSORY_OF|DOES_NOT_FIT|PRAISED_FOR|CRITICISED_FOR]->(x)
  WHERE f.source = 'extraction'
    AND NOT EXISTS { MATCH (:Evidence {fact: f.fact})-[:FROM]->(:Document) }
  WITH type(f) AS type, coalesce(x.sku, x.key, x.path) AS object, f.fact AS fact
  ORDER BY type, object
  RETURN collect({type: type, object: object, fact: fact}) AS facts
}
FILTER size(facts) > 0
RETURN p.sku AS sku, facts
ORDER BY sku
LIMIT $limit
