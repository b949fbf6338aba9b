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
           WHEN spaced THEN [w]
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
    CALL (spaced, ask) {
      WHEN spaced OR size(ask) > 1 THEN {
        MATCH (p:Product)
          SEARCH p IN (FULLTEXT INDEX product_words FOR ask LIMIT 1000)
        RETURN count(p) AS n
      }
      ELSE {
        // Single characters stand in the other index.
        MATCH (p:Product)
          SEARCH p IN (FULLTEXT INDEX product_fulltext FOR ask LIMIT 1000)
        RETURN count(p) AS n
      }
    }
    RETURN ask, n
  }
  LET rare = log(1.0 + (COUNT { (:Product) } - n + 0.5) / (n + 0.5))
  RETURN collect({
    // The blank before it makes it the beginning of a word.
    begins: CASE WHEN spaced THEN ' ' + stem ELSE stem END,
    // In the index a beginning scores its boost, so that the order of its hits is that of the words' weights.
    ask: ask + '^' + round(rare, 2),
    // A word that no title has may be misspelt: what is like it is looked for.
    like: CASE WHEN n = 0 AND spaced AND size(part) > 3 AND NOT part CONTAINS '/' THEN part + '~' END,
    weight: rare
  }) AS terms
}
LET total = reduce(t = 0.0, term IN terms | t + term.weight)
CALL (terms) {
  WHEN $skus IS NOT NULL THEN {
    UNWIND $skus AS sku
    MATCH (p:Product {sku: sku})
    RETURN DISTINCT p, 1 AS kept
  }
  ELSE {
    CALL (terms) {
      WHEN size(terms) > 0 THEN {
        LET ask = reduce(t = '', term IN terms | t + ' ' + term.ask)
        MATCH (p:Product)
          SEARCH p IN (FULLTEXT INDEX product_words FOR ask LIMIT 200)
        RETURN p
      UNION
        // The stemmer of Lucene knows endings that this text does not.
        LET ask = reduce(t = '', term IN terms | t + ' ' + replace(btrim(term.begins, ' '), '/', ' '))
        MATCH (p:Product)
          SEARCH p IN (FULLTEXT INDEX product_fulltext FOR ask LIMIT 200)
        RETURN p
      }
    }
    RETURN p, 0 AS kept
  UNION
    CALL (terms) {
      LET ask = reduce(t = '', term IN terms | t + coalesce(' ' + term.like, ''))
      CALL (ask) {
        WHEN ask <> '' THEN {
          MATCH (p:Product)
            SEARCH p IN (FULLTEXT INDEX product_words FOR ask LIMIT 50)
          RETURN p
        }
      }
      RETURN p
    }
    RETURN p, 1 AS kept
  UNION
    CALL () {
      WHEN $vector IS NOT NULL THEN {
        MATCH (p:Product)
          SEARCH p IN (VECTOR INDEX product_text FOR $vector LIMIT 200)
        RETURN p
      }
    }
    RETURN p, 0 AS kept
  UNION
    // So that a narrow filter leaves more than what happens to be among the best of the whole shop.
    CALL () {
      WHEN size($attributes) > 0 THEN {
        MATCH (:AttributeValue {key: $attributes[0]})<-[:HAS_ATTRIBUTE]-(p:Product)
        RETURN DISTINCT p
        LIMIT 1000
      }
      WHEN $brand IS NOT NULL THEN {
        MATCH (:Brand {key: $brand})<-[:MADE_BY]-(p:Product)
        RETURN DISTINCT p
        LIMIT 1000
      }
      WHEN $category IS NOT NULL THEN {
        MATCH (:Category {path: $category})<-[:SUBCATEGORY_OF]-{0,10}(:Category)<-[:IN_CATEGORY]-(p:Product)
        RETURN DISTINCT p
        LIMIT 1000
      }
    }
    RETURN p, 0 AS kept
  }
}
WITH p, max(kept) AS kept, terms, total
FILTER p.active AND coalesce(p.stock, 1) > 0
FILTER all(key IN $attributes WHERE EXISTS { (p)-[:HAS_ATTRIBUTE]->(:AttributeValue {key: key}) })
FILTER $brand IS NULL OR EXISTS { (p)-[:MADE_BY]->(:Brand {key: $brand}) }
FILTER $category IS NULL OR EXISTS {
  (p)-[:IN_CATEGORY]->(:Category)-[:SUBCATEGORY_OF]->{0,10}(:Category {path: $category})
}
FILTER $min_price IS NULL OR p.price >= $min_price
FILTER $max_price IS NULL OR p.price <= $max_price
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
