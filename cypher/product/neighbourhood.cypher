// title: What stands around a product, to be drawn
// description: One row a relationship: those between the product and its neighbours, and those between the neighbours
//   themselves. Of each kind of relationship the strongest few lead to neighbours: brand, shelves, attribute values,
//   aspects, and other products by what is stated, by what people did and by what the live model learned. Several
//   sources of one relationship are one row, the surest. Each end has its label, its business key and its name. No row
//   for an unknown sku.
// param sku: STRING -- the product's sku
// param each: INTEGER in 1..50 = 4 -- most neighbours by one kind of relationship
// param limit: INTEGER = 200 -- most rows to return
// example: {"sku": "S1"}
// returns: type STRING, from_label STRING, from_key STRING, from_name STRING, to_label STRING, to_key STRING,
//   to_name STRING, weight FLOAT

CYPHER 25
MATCH (this:Product {sku: $sku})
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
CALL (this, version) {
  MATCH (this)-[r:MADE_BY|IN_CATEGORY|HAS_ATTRIBUTE]->(x)
  RETURN x, type(r) AS type, coalesce(r.confidence, 1.0) AS weight
UNION ALL
  MATCH (this)-[r:PRAISED_FOR|CRITICISED_FOR]->(x)
  RETURN x, type(r) AS type, 1.0 * coalesce(r.count, 1) AS weight
UNION ALL
  MATCH (this)-[r:ACCESSORY_OF|COMPATIBLE_WITH|DOES_NOT_FIT|SUBSTITUTE_FOR|VARIANT_OF|BOUGHT_WITH|VIEWED_WITH]-(x)
  WHERE x <> this
  RETURN x, type(r) AS type, coalesce(r.confidence, 1.0) AS weight
UNION ALL
  MATCH (this)-[r:SIMILAR_TO {model: version}]->(x:Product)
  RETURN x, type(r) AS type, r.weight AS weight
}
WITH this, version, type, x, max(weight) AS weight
ORDER BY weight DESC, coalesce(x.popularity, 0.0) DESC, coalesce(x.sku, x.key, x.path)
WITH this, version, type, collect(x)[..$each] AS some
UNWIND some AS x
WITH this, version, collect(DISTINCT x) AS near
LET all = [this] + near
// Relationships start at products, whose degree is small: from a brand or a shelf one would walk over all of its own.
UNWIND all AS a
FILTER a:Product
CALL (a, all, version) {
  MATCH (a)-[r:MADE_BY|IN_CATEGORY|HAS_ATTRIBUTE|PRAISED_FOR|CRITICISED_FOR|ACCESSORY_OF|COMPATIBLE_WITH|DOES_NOT_FIT
             |SUBSTITUTE_FOR|VARIANT_OF|BOUGHT_WITH|VIEWED_WITH]->(b)
  WHERE b IN all
  RETURN b, type(r) AS type, max(coalesce(r.confidence, 1.0)) AS weight
UNION ALL
  MATCH (a)-[r:SIMILAR_TO {model: version}]->(b:Product)
  WHERE b IN all
  RETURN b, type(r) AS type, max(r.weight) AS weight
}
RETURN type,
       labels(a)[0] AS from_label,
       a.sku AS from_key,
       a.title AS from_name,
       labels(b)[0] AS to_label,
       coalesce(b.sku, b.key, b.path) AS to_key,
       coalesce(b.title, b.name, b.attribute + ' = ' + b.value + coalesce(' ' + b.unit, '')) AS to_name,
       weight
ORDER BY a <> this, type, from_key, to_key
LIMIT $limit
