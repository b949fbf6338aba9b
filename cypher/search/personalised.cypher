// title: Products for a search, in a user's own order
// description: The hundred best rows of search/products, for a user of whom the live model has a vector, in the order
//   of the search's score plus a share of the cosine between the user's vector and the product's. What the user regrets
//   (returned, disliked, hid, or rated below 3) is left out. Without a live model, or for someone whom it does not
//   know, the order is that of search/products. A reason names a term of the sum and what it adds.
// param text: STRING -- what was typed
// param user: STRING -- the user's id
// param weight: FLOAT in 0..10 = 0.3 -- what the cosine of user and product counts, that of text and product being 1
// param vector: LIST<FLOAT> = null -- the encoder's vector of the text, of unit length; null: words alone
// param category: STRING = null -- path of a category, its sub-categories included
// param brand: STRING = null -- key of a brand
// param attributes: LIST<STRING> = [] -- keys of attribute values, all of which must hold
// param min_price: FLOAT = null -- cheapest price
// param max_price: FLOAT = null -- dearest price
// param skus: LIST<STRING> = null -- score these products and no others, whatever they have in common with the text
// param limit: INTEGER = 20 -- most rows to return
// example: {"text": "guitar", "user": "anna"}
// returns: sku STRING, title STRING, price FLOAT, currency STRING, score FLOAT, reasons LIST<MAP>

CYPHER 25
// Lucene reads these characters as commands, and titles use them between words. What is left holds no command: the
// small letters are not AND, OR, NOT or TO either.
LET plain = reduce(
  t = toLower($text),
  c IN split('+ - & | ! ( ) { } [ ] ^ " ~ * ? : \\ , ; < > = # % @ ® ™ 。 ， 、 （ ）', ' ') | replace(t, c, ' ')
)
CALL (plain) {
  UNWIND [w IN split(plain, ' ') WHERE w <> '' | btrim(w, './\'')] AS w
  FILTER w <> '' AND NOT w IN [
    'a', 'an', 'and', 'are', 'as', 'at', 'be', 'by', 'for', 'from', 'if', 'in', 'into', 'is', 'it', 'of', 'on', 'or',
    'such', 'that', 'the', 'their', 'there', 'these', 'they', 'this', 'to', 'was', 'will', 'with', 'x'
  ]
  // A word stands for all that begin like it, its own ending off: "straps" finds "strap". Chinese, Japanese and Korean
  // have no spaces: every pair of neighbouring characters is a word, and so is every character.
  LET spaced = NOT w =~ '.*[\\u3040-\\u30ff\\u3400-\\u9fff\\uac00-\\ud7af].*'
  UNWIND CASE
           WHEN spaced THEN [left(w, 64)]
           ELSE [i IN range(0, size(w) - 2) | substring(w, i, 2)] + [i IN range(0, size(w) - 1) | substring(w, i, 1)]
         END AS part
  LET stem = CASE
               WHEN NOT spaced OR NOT part =~ '[a-z]+' THEN part
               WHEN part =~ '.{4,}ings' THEN left(part, size(part) - 4)
               WHEN part =~ '.{4,}ing|.{3,}ies' THEN left(part, size(part) - 3)
               WHEN part =~ '.{4,}(es|ed)' THEN left(part, size(part) - 2)
               WHEN part =~ '.{3,}s' THEN left(part, size(part) - 1)
               ELSE part
             END
  WITH spaced, stem, min(part) AS part
  LIMIT 32
  // In how many products a word stands, counted as far as it matters; and what to ask the index for.
  CALL (spaced, stem) {
    LET ask = CASE
                WHEN stem CONTAINS '/' THEN '"' + replace(stem, '/', ' ') + '"'
                WHEN spaced THEN stem + '*'
                ELSE stem
              END
    // Single characters stand in the other index.
    LET index = CASE WHEN spaced OR size(ask) > 1 THEN 'product_words' ELSE 'product_fulltext' END
    CALL (index, ask) {
      CALL db.index.fulltext.queryNodes(index, ask, {limit: 1000}) YIELD node
      RETURN count(node) AS n
    }
    RETURN ask, n
  }
  LET rare = log(1.0 + (COUNT { (:Product) } - n + 0.5) / (n + 0.5))
  RETURN collect({
    // The blank before it makes it the beginning of a word.
    begins: CASE WHEN spaced THEN ' ' + stem ELSE stem END,
    // In the index a beginning scores its boost, so that the order of its hits is that of the words' weights.
    ask: ask + '^' + round(rare, 2),
    // A word that no title has may be misspelt: what is like it is looked for. The longer it is, the longer Lucene
    // takes for it, and the more memory: of thousands of letters, minutes, and more than a server has.
    like: CASE WHEN n = 0 AND spaced AND 3 < size(part) <= 32 AND NOT part CONTAINS '/' THEN part + '~' END,
    weight: rare
  }) AS terms
}
LET total = reduce(t = 0.0, term IN terms | t + term.weight)
CALL () {
  MATCH (:Category {path: $category})<-[:SUBCATEGORY_OF]-{0,10}(shelf:Category)
  RETURN collect(DISTINCT shelf) AS shelves
}
// What passes the filters, entered by one of them and counted as far as it matters.
CALL (shelves) {
  CALL (shelves) {
    WHEN $skus IS NOT NULL THEN {
      UNWIND $skus AS sku
      MATCH (p:Product {sku: sku})
      RETURN p
    }
    WHEN size($attributes) > 0 THEN {
      MATCH (:AttributeValue {key: $attributes[0]})<-[:HAS_ATTRIBUTE]-(p:Product)
      RETURN p
    }
    WHEN $brand IS NOT NULL THEN {
      MATCH (:Brand {key: $brand})<-[:MADE_BY]-(p:Product)
      RETURN p
    }
    WHEN $category IS NOT NULL THEN {
      UNWIND shelves AS shelf
      MATCH (shelf)<-[:IN_CATEGORY]-(p:Product)
      RETURN p
    }
    WHEN $min_price IS NOT NULL OR $max_price IS NOT NULL THEN {
      MATCH (p:Product)
      WHERE coalesce($min_price, -1.0e300) <= p.price <= coalesce($max_price, 1.0e300)
      RETURN p
    }
  }
  FILTER p.active AND coalesce(p.stock, 1) > 0
  FILTER ($min_price IS NULL OR p.price >= $min_price) AND ($max_price IS NULL OR p.price <= $max_price)
  FILTER $brand IS NULL OR EXISTS { (p)-[:MADE_BY]->(:Brand {key: $brand}) }
  FILTER $category IS NULL OR EXISTS { MATCH (p)-[:IN_CATEGORY]->(c) WHERE c IN shelves }
  FILTER all(key IN $attributes WHERE EXISTS { (p)-[:HAS_ATTRIBUTE]->(:AttributeValue {key: key}) })
  WITH DISTINCT p
  LIMIT CASE WHEN $skus IS NULL THEN 1001 ELSE size($skus) + 1 END
  RETURN collect(p) AS within
}
LET linked = $brand IS NOT NULL OR $category IS NOT NULL OR size($attributes) > 0
LET filtered = linked OR $min_price IS NOT NULL OR $max_price IS NOT NULL
LET whole = $skus IS NOT NULL OR filtered AND size(within) <= 1000
CALL (terms, shelves, within, whole, linked, filtered) {
  // Where no more than a thousand products pass, all are candidates; of more, some, for words that are only the name of
  // a brand, a shelf or a value.
  UNWIND CASE WHEN whole THEN within WHEN linked THEN within[..200] ELSE [] END AS p
  RETURN p, CASE WHEN $skus IS NULL THEN 0 ELSE 1 END AS kept
UNION
  // The best of each index; the stemmer of product_fulltext knows endings that this text does not.
  UNWIND [
    {by: 'product_words', kept: 0, most: 200, ask: reduce(t = '', term IN terms | t + ' ' + term.ask)},
    {by: 'product_fulltext', kept: 0, most: 200, ask: reduce(
      t = '', term IN terms | t + ' ' + replace(btrim(term.begins, ' '), '/', ' ')
    )},
    {by: 'product_words', kept: 1, most: 50, ask: reduce(t = '', term IN terms | t + coalesce(' ' + term.like, ''))},
    {by: 'product_text', kept: 0, most: 200, ask: CASE WHEN $vector IS NULL THEN '' ELSE 'the vector' END}
  ] AS way
  FILTER way.ask <> '' AND $skus IS NULL AND (NOT whole OR way.kept = 1)
  CALL (way) {
    WHEN way.by = 'product_text' THEN {
      MATCH (p:Product)
        SEARCH p IN (VECTOR INDEX product_text FOR $vector LIMIT 200)
      RETURN collect(p) AS best
    }
    ELSE {
      CALL db.index.fulltext.queryNodes(way.by, way.ask, {limit: way.most}) YIELD node AS p
      RETURN collect(p) AS best
    }
  }
  // Where too few of these pass, or their neighbours must be seen to know, the index is read on, lazily, until enough
  // are found: what passes is found however many that do not pass are better.
  LET passing = size([
    p IN best
    WHERE p.active AND coalesce(p.stock, 1) > 0
      AND ($min_price IS NULL OR p.price >= $min_price) AND ($max_price IS NULL OR p.price <= $max_price)
  ])
  LET on = size(best) = way.most AND (filtered OR passing < way.most)
           AND (linked OR 4 * passing < way.most OR passing < $limit)
  CALL (way, best, passing, on, linked, shelves) {
    CALL (way, best, passing, on, linked) {
      WHEN NOT on THEN {
        UNWIND best AS p
        RETURN p
      }
      WHEN way.by <> 'product_text' THEN {
        CALL db.index.fulltext.queryNodes(way.by, way.ask, {limit: 100000}) YIELD node AS p
        RETURN p
      }
      // The nearest are searched anew, which takes the longer the more there are to be.
      WHEN passing >= 10 AND NOT linked THEN {
        MATCH (p:Product)
          SEARCH p IN (VECTOR INDEX product_text FOR $vector LIMIT 2000)
        RETURN p
      }
      ELSE {
        // The most that Neo4j gives.
        MATCH (p:Product)
          SEARCH p IN (VECTOR INDEX product_text FOR $vector LIMIT 10000)
        RETURN p
      }
    }
    FILTER p.active AND coalesce(p.stock, 1) > 0
    FILTER ($min_price IS NULL OR p.price >= $min_price) AND ($max_price IS NULL OR p.price <= $max_price)
    FILTER $brand IS NULL OR EXISTS { (p)-[:MADE_BY]->(:Brand {key: $brand}) }
    FILTER $category IS NULL OR EXISTS { MATCH (p)-[:IN_CATEGORY]->(c) WHERE c IN shelves }
    FILTER all(key IN $attributes WHERE EXISTS { (p)-[:HAS_ATTRIBUTE]->(:AttributeValue {key: key}) })
    RETURN p
    LIMIT CASE WHEN $limit > 200 THEN $limit ELSE 200 END
  }
  RETURN p, way.kept AS kept
}
WITH p, max(kept) AS kept, terms, total
// Where each word stands. What names the thing ends where a title goes on to say what it comes with or is for.
LET head = ' ' + replace(split(toLower(p.title), [',', ' (', ' with ', ' for ', ' in '])[0], '-', ' ')
LET title = reduce(
  t = reduce(
    named = ' ' + toLower(p.title) + ' ' + toLower(p.sku),
    name IN [(p)-[:MADE_BY]->(brand) | brand.name] | named + ' ' + toLower(name)
  ),
  c IN split('- ( ) , [ ] " &', ' ') | replace(t, c, ' ')
)
LET rest = ' ' + toLower(coalesce(p.description, '')) + reduce(
  t = '',
  x IN [(p)-[:HAS_ATTRIBUTE|IN_CATEGORY]->(v) | coalesce(v.value, v.name)] | t + ' ' + toLower(x)
)
LET words = CASE WHEN total > 0.0 THEN reduce(
      sum = 0.0,
      term IN terms | sum + term.weight * CASE
        WHEN head CONTAINS term.begins THEN 1.0
        WHEN title CONTAINS term.begins THEN 0.5
        WHEN rest CONTAINS term.begins THEN 0.25
        ELSE 0.0
      END
    ) / total ELSE 0.0 END,
    // The function gives (1 + cosine) / 2.
    meaning = coalesce(2.0 * vector.similarity.cosine(p.text_embedding, $vector) - 1.0, 0.0)
// Of a narrow shelf everything is a candidate: what has neither a word of the text nor its meaning is no answer.
FILTER kept = 1 OR words > 0.0 OR meaning >= 0.3
WITH p, words, meaning, words + meaning AS score
ORDER BY score DESC, coalesce(p.popularity, 0.0) DESC, p.sku
LIMIT 100
OPTIONAL MATCH (u:User {id: $user})
CALL () { MATCH (s:Serving {name: 'model'}) RETURN max(s.version) AS version }
OPTIONAL MATCH (live:ModelVersion {id: version})
FILTER NOT EXISTS { MATCH (u)-[no:DISLIKED|HIDDEN|RETURNED|RATED]->(p) WHERE type(no) <> 'RATED' OR no.rating < 3.0 }
LET cosine = CASE live.slot
               WHEN 'blue' THEN 2.0 * vector.similarity.cosine(u.embedding_blue, p.embedding_blue) - 1.0
               WHEN 'green' THEN 2.0 * vector.similarity.cosine(u.embedding_green, p.embedding_green) - 1.0
             END
LET taste = $weight * coalesce(cosine, 0.0)
WITH p, words, meaning, taste, score + taste AS score
ORDER BY score DESC, coalesce(p.popularity, 0.0) DESC, p.sku
LIMIT $limit
RETURN p.sku AS sku,
       p.title AS title,
       p.price AS price,
       p.currency AS currency,
       score,
       [
         r IN [
           {term: 'WORDS', part: words}, {term: 'MEANING', part: meaning}, {term: 'TASTE', part: taste}
         ] WHERE r.part > 0.0 | r
       ] AS reasons
ORDER BY score DESC, coalesce(p.popularity, 0.0) DESC, sku
