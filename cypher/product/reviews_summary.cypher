// title: What reviewers say of a product, aspect by aspect
// description: One row an aspect: how many texts praise it, how many criticise it, and the surest quote of each kind.
//   The most spoken of come first.
// param sku: STRING -- the product's sku
// param limit: INTEGER = 20 -- most rows to return
// example: {"sku": "S1"}
// returns: aspect STRING, praised INTEGER, criticised INTEGER, praise STRING, criticism STRING

CYPHER 25
MATCH (p:Product {sku: $sku})-[f:PRAISED_FOR|CRITICISED_FOR]->(a:Aspect)
WITH a,
     sum(CASE type(f) WHEN 'PRAISED_FOR' THEN coalesce(f.count, 1) ELSE 0 END) AS praised,
     sum(CASE type(f) WHEN 'CRITICISED_FOR' THEN coalesce(f.count, 1) ELSE 0 END) AS criticised,
     collect(CASE type(f) WHEN 'PRAISED_FOR' THEN f.fact END) AS praises,
     collect(CASE type(f) WHEN 'CRITICISED_FOR' THEN f.fact END) AS criticisms
ORDER BY praised + criticised DESC, a.name
LIMIT $limit
// Quotes are looked up for the rows that are shown, not for all.
CALL (praises) {
  UNWIND praises AS fact
  MATCH (e:Evidence {fact: fact})
  RETURN e.quote AS quote
  ORDER BY e.confidence DESC, e.id
  LIMIT 1
  NEXT
  RETURN collect(quote)[0] AS praise
}
CALL (criticisms) {
  UNWIND criticisms AS fact
  MATCH (e:Evidence {fact: fact})
  RETURN e.quote AS quote
  ORDER BY e.confidence DESC, e.id
  LIMIT 1
  NEXT
  RETURN collect(quote)[0] AS criticism
}
RETURN a.name AS aspect, praised, criticised, praise, criticism
ORDER BY praised + criticised DESC, aspect
