// title: Facts that cannot both be true
// description: Products for which the graph asserts what does not go together: two makers, two values of an attribute
//   that is a single quantity, an aspect that as many texts praise as criticise, or something that it is said to fit,
//   or to be made for, and not to fit. Each row names both sides with who asserts them, the surer first, for a curator
//   to decide. Pages through the products by sku.
// param after: STRING = '' -- sku after which to go on
// param products: INTEGER = 10000 -- most products that are looked at
// param limit: INTEGER = 100 -- most rows to return
// example: {}
// returns: sku STRING, title STRING, kind STRING, sides LIST<MAP>

CYPHER 25
MATCH (p:Product)
WHERE p.sku > $after
WITH p
ORDER BY p.sku
LIMIT $products
CALL (p) {
  MATCH (p)-[r:MADE_BY]->(b:Brand)
  WITH b, r
  ORDER BY coalesce(r.confidence, 1.0) DESC, r.source
  WITH b, collect(r)[0] AS r
  WITH collect({value: b.name, source: r.source, confidence: coalesce(r.confidence, 1.0), fact: r.fact}) AS sides
  FILTER size(sides) > 1
  RETURN 'two makers' AS kind, sides
UNION ALL
  MATCH (p)-[r:HAS_ATTRIBUTE]->(v:AttributeValue)
  WHERE v.number IS NOT NULL
  WITH v, r
  ORDER BY coalesce(r.confidence, 1.0) DESC, r.source
  WITH v, collect(r)[0] AS r
  WITH v.attribute AS attribute,
       collect({
         value: v.value + coalesce(' ' + v.unit, ''), source: r.source, confidence: coalesce(r.confidence, 1.0),
         fact: r.fact
       }) AS sides
  FILTER size(sides) > 1
  RETURN 'two values of ' + attribute AS kind, sides
UNION ALL
  MATCH (p)-[good:PRAISED_FOR]->(a:Aspect)<-[bad:CRITICISED_FOR]-(p)
  WHERE coalesce(good.count, 1) = coalesce(bad.count, 1)
  RETURN 'as much praise as blame for ' + a.name AS kind, [
           {value: 'praised', source: good.source, confidence: coalesce(good.confidence, 1.0), fact: good.fact},
           {value: 'criticised', source: bad.source, confidence: coalesce(bad.confidence, 1.0), fact: bad.fact}
         ] AS sides
UNION ALL
  // Whichever of the two says that they go together; of several sources the surest.
  MATCH (p)-[no:DOES_NOT_FIT]->(x)
  MATCH (p)-[yes:COMPATIBLE_WITH|ACCESSORY_OF]-(x)
  UNWIND [no, yes] AS r
  WITH x, r
  ORDER BY coalesce(r.confidence, 1.0) DESC, r.source
  WITH x, type(r) AS value, collect(r)[0] AS r
  RETURN 'fits and does not fit ' + coalesce(x.title, x.name, x.sku) AS kind,
         collect({value: value, source: r.source, confidence: coalesce(r.confidence, 1.0), fact: r.fact}) AS sides
}
CALL (sides) {
  UNWIND sides AS side
  WITH side
  ORDER BY side.confidence DESC, side.value
  RETURN collect(side) AS ordered
}
RETURN p.sku AS sku, p.title AS title, kind, ordered AS sides
ORDER BY sku, kind
LIMIT $limit
