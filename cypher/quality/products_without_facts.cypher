// title: Products of which hardly anything is known
// description: Products on sale without a brand, without a category, or without a single attribute: what a curator
//   should look at, or what the extractor missed. Pages through the products by sku: after a page of fewer rows than
//   $limit, even none, go on after the last sku that was looked at, and else after that of the last row.
// param after: STRING = '' -- sku after which to go on
// param products: INTEGER = 10000 -- most products that are looked at
// param limit: INTEGER = 100 -- most rows to return
// example: {"limit": 3}
// returns: sku STRING, title STRING, lacks LIST<STRING>

CYPHER 25
MATCH (p:Product)
WHERE p.sku > $after
WITH p
ORDER BY p.sku
LIMIT $products
FILTER p.active
LET lacks = CASE WHEN EXISTS { (p)-[:MADE_BY]->() } THEN [] ELSE ['brand'] END
          + CASE WHEN EXISTS { (p)-[:IN_CATEGORY]->() } THEN [] ELSE ['category'] END
          + CASE WHEN EXISTS { (p)-[:HAS_ATTRIBUTE]->() } THEN [] ELSE ['attributes'] END
FILTER size(lacks) > 0
RETURN p.sku AS sku, p.title AS title, lacks
ORDER BY sku
LIMIT $limit
