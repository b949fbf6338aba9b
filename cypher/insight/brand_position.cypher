// title: Where a brand wins and where it loses
// description: For each aspect that reviewers speak of, the share of praise among the texts on the brand's products
//   beside that on its rivals', which are the other makers on the same shelves. The difference has its 95 % interval
//   (Agresti and Caffo 2000: one success and one failure are added to each side); the brand wins or loses an aspect
//   where zero lies outside of it. At most 2,000 products of the brand and 5,000 of its rivals are read, the most
//   popular first.
// param brand: STRING -- the brand's key
// param category: STRING = null -- path of a category to stay in, its sub-categories included
// param least: INTEGER = 1 -- fewest texts on an aspect, of the brand and of its rivals each
// param limit: INTEGER = 100 -- most rows to return
// example: {"brand": "birch", "least": 0}
// returns: aspect STRING, praised INTEGER, criticised INTEGER, share FLOAT, rivals_praised INTEGER,
//   rivals_criticised INTEGER, rivals_share FLOAT, difference FLOAT, low FLOAT, high FLOAT, verdict STRING,
//   best_rival STRING

CYPHER 25
MATCH (this:Brand {key: $brand})
// The rivals first: what is sorted or made distinct is held together with all that is in scope, so no list may be.
CALL (this) {
  MATCH (this)<-[:MADE_BY]-(p:Product)-[:IN_CATEGORY]->(shelf:Category)
  WHERE $category IS NULL OR shelf.path = $category OR shelf.path STARTS WITH $category + ' > '
  WITH this, p, collect(shelf) AS shelves
  ORDER BY coalesce(p.popularity, 0.0) DESC, p.sku
  LIMIT 2000
  UNWIND shelves AS shelf
  WITH DISTINCT this, shelf
  MATCH (shelf)<-[:IN_CATEGORY]-(p:Product)
  WHERE NOT EXISTS { (p)-[:MADE_BY]->(this) }
  WITH DISTINCT p
  ORDER BY coalesce(p.popularity, 0.0) DESC, p.sku
  LIMIT 5000
  RETURN collect(p) AS others
}
CALL (this) {
  MATCH (this)<-[:MADE_BY]-(p:Product)-[:IN_CATEGORY]->(shelf:Category)
  WHERE $category IS NULL OR shelf.path = $category OR shelf.path STARTS WITH $category + ' > '
  WITH DISTINCT p
  ORDER BY coalesce(p.popularity, 0.0) DESC, p.sku
  LIMIT 2000
  RETURN collect(p) AS own
}
CALL (own, others) {
  UNWIND own AS p
  MATCH (p)-[f:PRAISED_FOR|CRITICISED_FOR]->(a:Aspect)
  RETURN a, type(f) AS side, coalesce(f.count, 1) AS texts, null AS rival
UNION ALL
  UNWIND others AS p
  MATCH (p)-[f:PRAISED_FOR|CRITICISED_FOR]->(a:Aspect)
  RETURN a, type(f) AS side, coalesce(f.count, 1) AS texts, coalesce([(p)-[:MADE_BY]->(b) | b.name][0], '') AS rival
}
WITH a, rival, sum(CASE side WHEN 'PRAISED_FOR' THEN texts ELSE 0 END) AS good,
     sum(CASE side WHEN 'CRITICISED_FOR' THEN texts ELSE 0 END) AS bad
// The best rival is the one whose share is highest once a success and a failure are added: two texts prove little.
ORDER BY (good + 1.0) / (good + bad + 2.0) DESC, rival
WITH a, sum(CASE WHEN rival IS NULL THEN good ELSE 0 END) AS praised,
     sum(CASE WHEN rival IS NULL THEN bad ELSE 0 END) AS criticised,
     sum(CASE WHEN rival IS NULL THEN 0 ELSE good END) AS rivals_praised,
     sum(CASE WHEN rival IS NULL THEN 0 ELSE bad END) AS rivals_criticised,
     collect(CASE WHEN rival <> '' AND good > 0 THEN rival END)[0] AS best_rival
LET n1 = praised + criticised, n2 = rivals_praised + rivals_criticised
FILTER n1 + n2 > 0 AND n1 >= $least AND n2 >= $least
LET p1 = (praised + 1.0) / (n1 + 2.0), p2 = (rivals_praised + 1.0) / (n2 + 2.0)
LET half = 1.959964 * sqrt(p1 * (1.0 - p1) / (n1 + 2.0) + p2 * (1.0 - p2) / (n2 + 2.0))
LET low = p1 - p2 - half, high = p1 - p2 + half
RETURN a.name AS aspect, praised, criticised, CASE WHEN n1 > 0 THEN 1.0 * praised / n1 END AS share, rivals_praised,
       rivals_criticised, CASE WHEN n2 > 0 THEN 1.0 * rivals_praised / n2 END AS rivals_share, p1 - p2 AS difference,
       low, high,
       CASE
         WHEN n1 = 0 THEN 'nobody speaks of it here'
         WHEN n2 = 0 THEN 'no rival is judged by it'
         WHEN low > 0.0 THEN 'wins'
         WHEN high < 0.0 THEN 'loses'
         ELSE 'no difference shown'
       END AS verdict, best_rival
ORDER BY abs(p1 - p2) / half DESC, aspect
LIMIT $limit
