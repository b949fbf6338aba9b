// title: Everything known of one product
// description: One row: what the catalogue says, what was read out of texts (each attribute with who says so),
//   what reviewers praise and criticise, what it goes with, how it is rated and what people did with it.
//   No row for an unknown sku.
// param sku: STRING -- the product's sku
// param limit: INTEGER = 20 -- most entries in each list
// example: {"sku": "S1"}
// returns: sku STRING, title STRING, description STRING, price FLOAT, currency STRING, active BOOLEAN, brand STRING,
//   categories LIST<STRING>, attributes LIST<MAP>, praised LIST<MAP>, criticised LIST<MAP>, goes_with LIST<MAP>,
//   accessories LIST<MAP>, rating FLOAT, ratings INTEGER, reviews INTEGER, interactions MAP

CYPHER 25
MATCH (p:Product {sku: $sku})
// Sources may disagree on the brand: a person outranks the catalogue, which outranks what was read.
CALL (p) {
  MATCH (p)-[made:MADE_BY]->(b:Brand)
  WITH b, made, CASE made.source WHEN 'curator' THEN 0 WHEN 'catalogue' THEN 1 ELSE 2 END AS rank
  ORDER BY rank, made.confidence DESC, b.key
  LIMIT 1
  RETURN collect(b.name) AS brands
}
CALL (p) {
  MATCH (p)-[:IN_CATEGORY]->(c:Category)
  WITH DISTINCT c.path AS path
  ORDER BY path
  LIMIT $limit
  RETURN collect(path) AS categories
}
// The same value asserted by two sources is two relationships; here it is one entry with both named.
CALL (p) {
  MATCH (p)-[has:HAS_ATTRIBUTE]->(v:AttributeValue)
  WITH has, v
  ORDER BY has.source
  WITH v, collect(DISTINCT has.source) AS sources, max(has.confidence) AS confidence
  ORDER BY v.attribute, v.value
  LIMIT $limit
  RETURN collect({attribute: v.attribute, value: v.value, unit: v.unit, sources: sources, confidence: confidence})
    AS attributes
}
CALL (p) {
  MATCH (p)-[says:PRAISED_FOR]->(a:Aspect)
  WITH a.name AS aspect, sum(coalesce(says.count, 1)) AS texts
  ORDER BY texts DESC, aspect
  LIMIT $limit
  RETURN collect({aspect: aspect, texts: texts}) AS praised
}
CALL (p) {
  MATCH (p)-[says:CRITICISED_FOR]->(a:Aspect)
  WITH a.name AS aspect, sum(coalesce(says.count, 1)) AS texts
  ORDER BY texts DESC, aspect
  LIMIT $limit
  RETURN collect({aspect: aspect, texts: texts}) AS criticised
}
// What it goes with, whichever of the two says so. A brand or category that it fits stands for all its products.
CALL (p) {
  MATCH (p)-[link:COMPATIBLE_WITH|ACCESSORY_OF]->(x:Product|Brand|Category)
  RETURN x, type(link) AS relation, link.confidence AS confidence
  UNION ALL
  MATCH (p)<-[link:COMPATIBLE_WITH]-(x:Product)
  RETURN x, type(link) AS relation, link.confidence AS confidence
  NEXT
  LET label = labels(x)[0], key = coalesce(x.sku, x.key, x.path), name = coalesce(x.title, x.name)
  RETURN label, key, name, relation, max(confidence) AS confidence
  ORDER BY relation, confidence DESC, key
  LIMIT $limit
  NEXT
  RETURN collect({label: label, key: key, name: name, relation: relation, confidence: confidence}) AS goes_with
}
CALL (p) {
  MATCH (p)<-[fits:ACCESSORY_OF]-(x:Product)
  WITH x, max(fits.confidence) AS confidence
  ORDER BY coalesce(x.popularity, 0.0) DESC, x.sku
  LIMIT $limit
  RETURN collect({sku: x.sku, title: x.title, confidence: confidence}) AS accessories
}
// Each person's latest rating once: as an event, or else as the stars of a review.
CALL (p) {
  MATCH (p)<-[rated:RATED]-(:User)
  WHERE rated.rating IS NOT NULL
  RETURN rated.rating AS stars
  UNION ALL
  MATCH (p)<-[:ABOUT]-(review:Review)<-[:WROTE]-(author:User)
  WHERE review.rating IS NOT NULL
    AND NOT EXISTS { MATCH (author)-[rated:RATED]->(p) WHERE rated.rating IS NOT NULL }
  WITH author, review
  ORDER BY coalesce(review.at.epochSeconds, -1) DESC, review.id DESC
  WITH author, collect(review.rating)[0] AS stars
  RETURN stars
  NEXT
  RETURN avg(stars) AS rating, count(stars) AS ratings
}
RETURN p.sku AS sku,
       p.title AS title,
       p.description AS description,
       p.price AS price,
       p.currency AS currency,
       p.active AS active,
       brands[0] AS brand,
       categories,
       attributes,
       praised,
       criticised,
       goes_with,
       accessories,
       rating,
       ratings,
       COUNT { (p)<-[:ABOUT]-() } AS reviews,
       {
         viewed: COUNT { (p)<-[:VIEWED]-() },
         carted: COUNT { (p)<-[:CARTED]-() },
         bought: COUNT { (p)<-[:BOUGHT]-() },
         rated: COUNT { (p)<-[:RATED]-() },
         returned: COUNT { (p)<-[:RETURNED]-() },
         disliked: COUNT { (p)<-[:DISLIKED]-() }
       } AS interactions
