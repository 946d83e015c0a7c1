"""What radiographers write into descriptions: one table a concept, one row a language.

Entries are regular expressions over ``words`` text (lower case, no accents, single spaces), separated by ``|``; each is
looked for from the start of a word, and ends with a space where it must be a whole word. Vendors' own names stand
under "trade".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

Vocabulary = Mapping[str, str]

# --- contrast phases ---------------------------------------------------------------------------------------------

#: The phase in which hepatocytes hold the agent; "hep" alone, never "hepatic arterial".
HEPATOBILIARY: Final[Vocabulary] = {
    "en": "hbp|hepato ?bil|hepatocyt|hepatocel|hepato ?spe[cz]|liver spec|biliary|biliar|hep$|hep (?!art|ven)|"
          "hb ?phase|hb |"
          "post ?(?:15|20|25|30) $|post ?(?:15|20|25|30)$",
    "de": "hepatobiliar|hepatozyt|leber ?sp|primo ?spat",
    "fr": "hepatobil|hepato ?spec|hepatocyt|biliaire",
    "es": "hepato ?biliar|hepato ?espec|hepatocit|excretora biliar",
    "it": "epato ?bil|epato ?spec|epatocit",
    "nl": "hepatobil|lever ?spec",
    "tr": "hepatobil|karaciger spes|hepatosel",
    "sv": "lever ?spec",
    "pl": "hepatobil|watrobowo",
    "cs": "hepatobil",
}  # fmt: skip
#: Late without saying how late: minutes after an extracellular agent, the hepatobiliary phase after gadoxetate.
LATE: Final[Vocabulary] = {
    "en": "late|delay|del ",
    "de": "spat|spaet|verzogert",
    "fr": "tardi[fv]|retard",
    "es": "tardi[ao]|retard",
    "it": "tardiv|ritard",
    "nl": "laat |late ",
    "tr": "gec |gecikm",
    "sv": "sen |sena |senfas",
    "pl": "pozn|opozn",
    "cs": "pozdni",
}
TRANSITIONAL: Final[Vocabulary] = {
    "en": "equi|transit|interstit|late ven|late port|lv phase",
    "de": "aequi|aquili|gleichgew|spatven|spat ven|interstit",
    "fr": "equilib|interstit",
    "es": "equilib|intersticial",
    "it": "equilib|interstiz",
    "nl": "equilib|evenwicht",
    "tr": "denge |equilib",
}
ARTERIAL: Final[Vocabulary] = {
    "en": "art |art$|art\\d|arter|hap |lap |eap |ha |bolus phase|artphase",
    "de": "arteriell",
    "fr": "arteri",
    "es": "arterial",
    "it": "arterios",
    "nl": "arterieel",
    "tr": "arteri?yel",
    "pl": "tetnicz",
}
PORTAL: Final[Vocabulary] = {
    "en": "port|por |por$|pv |pv$|pvp|pven|ven |ven$|venous|pvphase",
    "de": "portal|venos|venoes|pvenos",
    "fr": "porta|veineu",
    "es": "portal|venos",
    "it": "portal|venos",
    "nl": "portaal|veneus|portoven",
    "tr": "portal|venoz",
    "pl": "wrotn|zyln",
    "cs": "portaln|venozn",
}
NATIVE: Final[Vocabulary] = {
    "en": "nativ|pre |pre$|pre\\d|precon|pre ?(?:km|gd|gado|contrast|inj)|unenh|plain|non ?contrast|non ?enh|"
          "noncon|mask|"
          "w o (?:c |contrast|gd|gad|iv)|without (?:contrast|gd|gad|iv)|agentless|no contrast",
    "de": "vor (?:km|gd|kontrast)|ohne (?:km|gd|kontrast)|nativ",
    "fr": "sans (?:inj|gado|contraste|iv|pdc|pc )|sans$|avant (?:inj|gado|contr)|natif",
    "es": "sin (?:contr|civ|gado|gd|iv)|basal|precontr|antes",
    "it": "senza (?:mdc|contr|gd)|basal|diretta|pre ?mdc|prima",
    "nl": "blanco|zonder (?:contrast|gd|gado)|voor (?:contrast|gd|gado)",
    "tr": "kontrastsiz|pre ?kontrast|ilacsiz",
    "sv": "utan (?:km|kontrast|gd)|ut(?:a|e)n kontrast|uden kontrast",
    "pl": "bez (?:kontr|km|srodka)",
    "cs": "bez kontr|nativni",
    "pt": "sem contr|pre ?contr",
}  # fmt: skip
#: Contrast was given, at a delay that the words do not tell.
POST: Final[Vocabulary] = {
    "en": "post|\\+ ?c|c\\+|\\+ ?gd|gd |gado|gad |iv$|with contrast|w (?:c |contrast|gd)|enhanced",
    "de": "nach ?(?:km|gd|kontrast)|km |km$|mit (?:km|kontrast)|kontrast ?mittel",
    "fr": "apres (?:inj|gado)|inj |avec (?:inj|gado|contr)",
    "es": "con (?:contr|civ|gado|gd)|poscontr|tras contr",
    "it": "con mdc|dopo mdc|post ?mdc|con contr",
    "nl": "met contrast|na (?:contrast|gd|gado)",
    "tr": "kontrastli|ilacli|post ?kontrast",
    "sv": "med (?:km|kontrast)|efter (?:km|kontrast)",
    "pl": "z kontr|po kontr",
    "cs": "s kontr|po kontr",
    "pt": "com contr|apos contr|pos ?contr",
}

# --- contrast agents ---------------------------------------------------------------------------------------------

#: Taken up by hepatocytes within 10–20 min.
GADOXETATE: Final[Vocabulary] = {
    "substance": "gadoxet|gd ?eob|eob|gadoksetat|mangafod",
    "trade": "primovist|eovist|primo |teslascan",
}
#: Taken up so slowly that its hepatobiliary phase comes one to three hours later.
GADOBENATE: Final[Vocabulary] = {"substance": "gadoben|gd ?bopta|bopta", "trade": "multi ?hance"}
#: What is drunk or relaxes the bowel is no contrast of the liver, though it is written in the same attribute.
NO_CONTRAST: Final[Vocabulary] = {
    "any": "buscopan|scopolamin|butylscop|glucagon|glucagen|lumirem|ananas|pineapple|oral|per os|"
          "manganese|volumen|nacl|"
           "saline|kochsalz|mannit|water",
}  # fmt: skip
#: "The liver-specific agent", unnamed, in the words of a study ("con mdc epatospecifico", "leberspez. KM").
LIVER_AGENT_WORDS: Final = (
    "hepato ?spe[cz]|leber ?spez|liver ?spec|lever ?spec|epato ?spec|hepato ?espec|karaciger spes|hepatobil|"
    "hepato ?bil|epatobil|"
    "hbp"
)
#: Never in hepatocytes.
EXTRACELLULAR: Final[Vocabulary] = {
    "substance": "gadobutr|gadoter|gadotar|gadopent|gadodiam|gadovers|gadopic|ferumox|gadofosv|ferucarb",
    "trade": "gadovist|gadavist|dotarem|clariscan|dotagraf|cyclolux|prohance|magnevist|magnograf|omniscan|"
             "optimark|artirem|"
             "vueway|elucirem|dotavision|uniray|pixxoscan|gadoquick|ablavar|feraheme|resovist",
    "fr": "acide gadoterique",
    "de": "gadotersaure",
}  # fmt: skip

# --- MR sequences ------------------------------------------------------------------------------------------------

LOCALIZER: Final[Vocabulary] = {
    "en": "localiz|localis|locali[sz]er|loc |loc$|scout|scan ?ogram|survey|surview|topogram|3 ?plane|"
    "three ?plane|plan scan",
    "de": "lokalis|lokaliz|planungs?scan|3 ?ebenen|ubersichts?(?:aufn|scan)",
    "fr": "reperage|reperes?$|localisat|topogramme|radio de rep",
    "es": "localizad|topograma",
    "it": "localizz|topogramma|centratur",
    "nl": "lokalis|planning|overzicht",
    "tr": "lokaliz|kilavuz",
    "trade": "haste loc|aah ?(?:ead )?scout|aa ?scout|i ?survey|smart ?brain",
}
HELPER: Final[Vocabulary] = {
    "trade": "mr ?ac |m ?rac |u ?map|mu ?map|attenuation|calib|cal |cal$|asset ?(?:cal|ref|scan$)|sense ?ref|"
             "ref ?scan|"
             "reference scan|coil ?(?:survey|check|sens|cal)|prescan|shim|field ?map|b1 ?map|b0 ?map|b1 |"
             "noise ?(?:scan|cal|only)|"
             "phantom|test ?bol|care ?bolus|timing ?bolus|bolus ?(?:tra|tim|track|test)|smart ?prep|blis+ ?trak|"
             "fluoro ?(?:trigger|prep)|(?:nav|navi|navigator) ?(?:scout|plan|cal|test)|navigator$|resp ?trig ?scout|"
             "elasto|mre |mr ?touch|stiffness|wave image|liver ?lab|fat ?frac|ff map|pdff|r2 ?star|r2 ?map|"
             "t2 ?star|t2\\*|r2\\*|"
             "t1 ?map|t2 ?map|t1 ?mapping|molli|look ?locker|ideal ?iq|dixon ?quant|q ?dixon|spectro|press |steam|"
             "perfusion map|phase ?contrast|q ?flow|4 ?d ?flow|flow ?(?:quant|map|enc)|angio|tof |tof$|"
             "confidence map|"
             "water ?fraction|swan|swi |swi\\d|swip",
}  # fmt: skip
ADC: Final[Vocabulary] = {
    "en": "adc|[a-z] ?adc|apparent diff|average dc|isotropic adc|diffusion coef",
    "de": "diffusionskoef",
    "fr": "coefficient de diff|cda ",
    "es": "coeficiente de difus",
    "it": "coefficiente di diff",
}
EXPONENTIAL: Final[Vocabulary] = {"en": "e ?adc|exp ?adc|exponential|exp app|e ?dwi"}
DIFFUSION: Final[Vocabulary] = {
    "en": "[a-z]? ?dwi|diff(?!erential)|dw |dwib|b[1-9]\\d{1,3} |trace ?w|ep2 ?d ?diff|isotropic image|ivim",
    "es": "difus",
    "nl": "diffus",
    "tr": "difuz",
    "trade": "dwibs|resolve|zoom ?it|reveal|focus dw",
}
DIFFUSION_MAP: Final[Vocabulary] = {"en": "ivim|d\\* |d star|pseudo ?diff|kurtosis|dki |fa map|tensor"}
FLUID: Final[Vocabulary] = {
    "en": "mrcp|[a-z]mrcp|cholang|radial ?slab|thick ?slab|urogra",
    "es": "colangio",
    "it": "colangio",
    "fr": "cholangio|bili ?irm",
    "tr": "mrkp|kolanj",
}
BALANCED: Final[Vocabulary] = {
    "trade": "trufi|true ?fisp|fiesta|[a-z]? ?b ?ffe|[a-z]? ?b ?tfe|balanced|b ?ssfp|true ?ssfp|basg|tru ?fi",
}
T1: Final[Vocabulary] = {
    "en": "t1|3 ?d gre|gre |dyn |dyn$|dynam",
    "fr": "eg 3 ?d|3 ?d eg|eg t1",
    "trade": "[a-z]*vibe|[a-z]?lava|e ?thrive|thrive|quick ?3 ?d|tigre|fl2 ?d|fl3 ?d|flash|[a-z]*spgr|m ?dixon|disco|"
             "twist|fame|grasp|efgre|ffe3 ?d|differential subsampling",
}  # fmt: skip
T2: Final[Vocabulary] = {
    "en": "t2|single ?shot|stir|tirm|heavily",
    "trade": "haste|ss ?fse|ss ?h? ?(?:tse|t2)|blade|propeller|multi ?vane|fase|frfse|trig tse|h2 ?d |tse2 ?d|radar",
}
#: Parts of a two-point (Dixon) or dual-echo acquisition.
OPPOSED_PHASE: Final[Vocabulary] = {
    "en": "opp |opp$|opposed|out ?of ?ph|out ?ph|oop|op |op$|out$|out ",
    "de": "gegen ?ph|opponier",
    "fr": "hors ?phase|opposition|opp?hase",
    "es": "fuera de fase|fase opuesta",
    "it": "fuori ?fase|opposiz",
    "nl": "uit ?fase|tegen ?fase",
    "tr": "faz disi|karsit faz|dis faz",
}
IN_PHASE: Final[Vocabulary] = {
    "en": "in ?phase|inph|ip |ip$|in $|in$",
    "fr": "en phase",
    "es": "en fase",
    "it": "in fase",
    "nl": "in ?fase",
    "tr": "faz ici|ic faz",
}
FAT: Final[Vocabulary] = {
    "en": "fat(?! ?(?:sat|sup|free|less|frac|nav))(?: |$)|f $|f$",
    "de": "fett ?(?:bild|only|$| $)",
    "fr": "graisse",
    "es": "grasa",
    "it": "grasso",
}
WATER: Final[Vocabulary] = {
    "en": "water|w $|w$",
    "de": "wasser",
    "fr": "eau ",
    "es": "agua",
    "it": "acqua",
}
#: What says that an acquisition may have such parts at all, so that a lone "w" or "in" means one.
DIXON: Final[Vocabulary] = {
    "trade": "[a-z]?dixon|flex|ideal|wfs|water|wasser|[a-z]*vibe|lava|thrive|quick|in ?phase|out ?ph|opp|ffe|"
             "flash|fl2 ?d|"
             "spgr|fspgr|gre|t1",
}  # fmt: skip

# --- pictures made of pictures, documents -----------------------------------------------------------------------

DERIVED: Final[Vocabulary] = {
    "en": "mip |mip$|mips|minip|projection|rotat|subtr|sub |sub$|subs |fused|(?<!for )(?<!and )(?<!zur )(?<!pour )"
          "fusion|"
          "overlay|mosaic|vrt |vr |"
          "volume rend|"
          "screen ?shot|screen ?save|capture|key ?images?|collage|montage|curved|3 ?d pdf|minus|ktrans|k trans|"
          "kep |ve map|"
          "ttp|time to peak|wash ?(?:in|out)|i?auc |perfusion map|sub ?traction|color map|colou?r map|mpr |mpr$|"
          "reformat",
    "trade": "registered|co ?regist|resampled|resliced|aligned to|atlas",
    "de": "projektion|fusioniert|auf pet |rekonstruktion mip|subtrakt",
    "fr": "soustract|fusionn",
    "es": "sustrac|resta |fusionad",
    "it": "sottraz|fusione",
    "nl": "subtract|aftrek",
    "tr": "cikarma|fuzyon",
}  # fmt: skip
REPORT: Final[Vocabulary] = {
    "en": "dose ?(?:report|info|record|summary)|patient ?protocol|exam ?protocol|phoenix ?zip|radiation dose|"
    "examination summary",
    "de": "dosis ?(?:report|protokoll)|patient(?:en)? ?protokoll|dosisbericht",
    "fr": "rapport de dose",
    "es": "informe de dosis",
    "it": "rapporto (?:di )?dose",
    "nl": "dosis ?rapport",
}

# --- PET and CT --------------------------------------------------------------------------------------------------

UNCORRECTED: Final[Vocabulary] = {
    "en": "nac |nac$|non ?ac |no ?ac |no ?ac$|non ?ac$|noac|nonac|uncorr|without ac|w o ac|non ?att|not att|"
    "no att|ac ?off|"
    "at+e?n(?:uation)? ?corr(?:ection)? ?off|n ac$|non corrected|not corrected",
    "de": "unkorr|nicht ?korr|nicht schw|ohne ac|ohne schw|nativ pet|nichtkorr|nicht attenu",
    "fr": "non corr|sans corr|sans ac |sans ac$|non attenu",
    "es": "sin corr|no corr|sin ca |sin atenu",
    "it": "non corr|senza corr|non atten",
    "nl": "niet ?gecorr|ongecorr|zonder corr",
    "tr": "duzeltilmemis|duzeltmesiz|ac siz|acsiz",
}
CORRECTED: Final[Vocabulary] = {
    "en": "ac |[a-z]*ctac|mac |mr ?ac |acct|attenuation corr|corrected",
    "de": "schwachungskorr|schwaechungskorr|korrigiert",
    "fr": "corrigee?s? |correction d ?atten",
    "es": "corregid|con correccion",
    "it": "corrett|con correzione",
    "nl": "gecorrigeerd",
    "tr": "duzeltilmis|duzeltmeli",
}
#: Kinetic models of a PET: rates and volumes, no concentration.
PARAMETRIC: Final[Vocabulary] = {
    "en": "patlak|logan|parametric|ki |k1 |k2 |influx|mr ?fdg|distribution volume|intercept|slope"
}
CT_HELPER: Final[Vocabulary] = {
    "en": "bolus|monitor|smart ?prep|premonit|tracker|tracking|test ?bol|locator|u ?map|mu ?map|"
          "attenuation ?map|timing|"
          "ctac map|calibration|phantom",
}  # fmt: skip
CT_REFORMATTED: Final[Vocabulary] = {
    "en": "mpr |mpr$|cor |cor$|coron(?!ary)|sag |sag$|sagit|frontal|reformat",
    "de": "koronar|frontal",
    "fr": "frontale|coro ",
    "es": "coronal",
    "tr": "koronal",
}
#: A kernel for lungs or bones: its noise hides the liver.
SHARP: Final[Vocabulary] = {
    "en": "lung|bone|thin lung|hrct",
    "de": "lunge|knochen",
    "fr": "poumon|parenchyme pulm|os |osseux",
    "es": "pulmon|hueso",
    "it": "polmone|osso ",
    "nl": "long |bot ",
    "tr": "akciger|kemik",
}

# --- body regions ------------------------------------------------------------------------------------------------

#: Regions that hold the liver, and examinations that are made of it.
LIVER_REGION: Final[Vocabulary] = {
    "en": "liver|hepat|abdom|upper abd|pancrea|mrcp|whole ?body|trunk|torso|chest ?abd|thorax ?abd|tap |cap |"
          "eyes to|vertex to|"
          "tumou?r staging|partial ?body|(?:skull|head|vertex|eyes?|base|brain) ?(?:base )?(?:to|a|"
          "mid)? ?(?:mid )?(?:thigh|femur|knee)|wb ",
    "de": "leber|oberbauch|bauch|ober bauch|pankrea|gallenw|gallenbl|ganz ?korper|rumpf|stamm|"
          "(?:kopf|schadel|schadelbasis) ?(?:basis )?bis ?(?:mitte )?oberschenkel",
    "fr": "foie|corps entier|tronc|bilan ext|(?:tete|vertex|base) ?(?:du crane )?(?:a |aux )?(?:mi )?cuisse",
    "es": "higado|cuerpo entero|cuerpo completo|tronco",
    "it": "fegato|epat|addom|total body|corpo intero",
    "nl": "lever |buik|bovenbuik|hele lichaam|total body",
    "tr": "karaciger|batin|ust batin|tum vucut",
    "pt": "figado|corpo inteiro",
    "pl": "watrob|brzuch|jam[ya] brzus",
    "sv": "buk |lever",
    "agent": "primovist|eovist|gadoxet",
}  # fmt: skip
#: The liver itself, not merely its neighbourhood.
LIVER: Final[Vocabulary] = {
    "any": "liver|hepat|leber|foie|higado|fegato|epat|lever |karaciger|figado|watrob|primovist|eovist|gadoxet",
}
#: Regions whose images, if they are wide enough, still do not show the liver as a liver study must.
OTHER_REGION: Final[Vocabulary] = {
    "en": "brain|head|neuro(?!end)|cerebr|crane|cranium|encephal|knee|shoulder|spine|spinal|lumb|cervical|"
          "c spine|l spine|t spine|"
          "sacro|hip |hips |ankle|foot|hand |hands |wrist|elbow|breast|prostat|pelvi|cardi|heart|orbit|neck|"
          "larynx|pituit|sella|"
          "femur|thigh|leg |legs |extremit|arm |uterus|rect(?!us)|fet(?:al|us)|scrotum|penis|temporoman|"
          "iac |tmj|"
          "chest|thorax|lung|mediast|breasts|carotid|humer|tibia|calf|bladder",
    "de": "hirn|gehirn|kopf|schadel|knie|schulter|wirbel|wsbs|[lbh]ws |lenden|sakro|isg |hufte|huft|"
          "sprunggelenk|fuss |vorfuss|"
          "hande|handgelenk|ellenbogen|mamma|becken|herz|hals |hypophys|oberschenkel|unterschenkel|rektum|"
          "fot(?:al|us)|hoden|"
          "kiefer|lunge|blase ",
    "fr": "tete|genou|epaule|rachis|hanche|cheville|pied |poignet|coude|sein |seins |bassin|coeur|cou |cuisse|"
          "angio ?carot|poumon|cerveau|prostate",
    "es": "cabeza|craneo|cerebro|encefalo|rodilla|hombro|columna|cadera|tobillo|pie |mano |muneca|codo|mama |"
          "mamas |prostata|"
          "corazon|cuello|torax|muslo|pulmon|silla turca|vejiga",
    "it": "encefal|cranio|cervello|ginocchio|spalla|colonna|rachide|anca |anche |caviglia|piede|mano |polso|"
          "gomito|mammell|"
          "bacino|cuore|collo|torace|coscia|polmon|ipofisi|vescica",
    "nl": "hersen|schedel|hoofd|schouder|wervel|heup|enkel|voet|pols|elleboog|borst|bekken|hart |hals |dijbeen|"
          "longen|rug ",
    "tr": "beyin|kafa|diz |omuz|omurga|kalca|ayak|el bilek|dirsek|meme |kalp|boyun|toraks|akciger|hipofiz|"
          "servikal|lomber",
    "pt": "joelho|cabeca|ombro|coluna|quadril|coracao",
    "pl": "glow|mozg|kolan|kregosl|miednic|serc",
}  # fmt: skip
#: Beds and stations of limbs alone.
LIMBS: Final[Vocabulary] = {
    "en": "leg |legs |lower leg|extremit|calf|calves|feet|foot",
    "de": "bein |beine |unterschenkel|fusse |fuss ",
    "fr": "jambe|membres? inf|mollet",
    "es": "pierna|miembros? inf",
    "it": "gamb[ae]|arti inf",
    "nl": "benen|onderbe",
    "tr": "bacak|alt ekstrem",
}
