// title: Products of which hardly anything is known
// description: Products on sale without a brand, without a category, or without a single attribute: what a curator
//   should look at, or what the extractor missed. Pass the last sku seen as $after for the next page.
// param after: STRING = '' -- only products with a greater sku
// param limit: INTEGER = 100 -- most rows to return
// example: {"limit": 3}
// returns: sku STRING, title STRING, lacks LIST<STRING>

CYPHER 25
MATCH (p:Product)
WHERE p.sku > $after AND p.active
LET lacks = CASE WHEN EXISTS { (p)-[:MADE_BY]->() } THEN [] ELSE ['brand'] END
          + CASE WHEN EXISTS { (p)-[:IN_CATEGORY]->() } THEN [] ELSE ['category'] END
          + CASE WHEN EXISTS { (p)-[:HAS_ATTRIBUTE]->() } THEN [] ELSE ['attributes'] END
FILTER size(lacks) > 0
RETURN p.sku AS sku, p.title AS title, lacks
ORDER BY sku
LIMIT $limit
