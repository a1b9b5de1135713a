"""Two small sets of sentences to try steering on: at sea, and at home. Written for this package."""

from collections.abc import Mapping
from types import MappingProxyType

_SEA = (
    "The ship lay at anchor in the bay, and the sailors were at rest upon the deck.",
    "The captain looked out over the sea and saw a sail upon the horizon.",
    "A strong wind filled the sails, and the ship ran before the waves.",
    "The boat was lowered into the water, and six men took the oars.",
    "All that night the storm beat upon the ship, and the waves broke over the deck.",
    "The old sailor had been forty years at sea, and he knew every port and island.",
    "They rowed the boat to the shore of the island, where the tide was low.",
    "The mate called to the crew, and the men climbed the mast to take in the sails.",
    "In the morning the wind fell, and the ship lay still upon the water.",
    "The waves rose as high as the mast, and the captain gave up the ship for lost.",
    "We sailed from the harbour with the tide, and by noon the coast was out of sight.",
    "The crew had no fresh water, and the nearest island was three days' sail away.",
    "The anchor was raised, and the vessel moved slowly out of the port.",
    "A great wave threw the boat upon the rocks, and the sailors swam to the shore.",
    "The vessel carried a crew of twenty men, and her captain was a brave sailor.",
    "The sailors sang as they pulled the ropes, and the ship turned towards the open sea.",
    "The fishermen drew their nets into the boat and rowed back to the harbour.",
    "Far out at sea a ship was burning, and the boats of her crew were upon the waves.",
    "The captain ordered the men to the boats, for the ship was filling with water.",
    "The gulls cried above the mast, and the sailors knew that the coast was near.",
    "For many weeks they saw nothing but the sea and the sky and the white sails.",
    "The pilot came on board at the mouth of the river and took the vessel into port.",
    "The wind blew from the north, and the waves ran high along the coast.",
    "The wreck lay upon the rocks, and the tide had washed her deck away.",
)

_HOME = (
    "The old lady sat by the fire in the parlour, and the children played upon the carpet.",
    "The garden was full of roses, and a path led between them to the door of the house.",
    "My aunt was in the kitchen, where the cook was making bread for the dinner.",
    "The two sisters walked in the garden until the bell rang for tea.",
    "She opened the window of her room and looked down upon the lawn and the flowers.",
    "The family sat at table, and the servant brought in the soup and the candles.",
    "There was a little cottage at the end of the lane, with ivy upon the walls.",
    "The mother put the child to bed and sat beside the cradle with her sewing.",
    "After dinner the ladies went into the drawing room, and my sister played the piano.",
    "The gardener was cutting the grass beneath the windows of the house.",
    "A bright fire burned in the room, and the kettle was singing for the tea.",
    "The house had a wide hall, and the stairs led up to the rooms of the children.",
    "Her father sat in his chair in the library and read a book until supper.",
    "The maid swept the kitchen floor and put the plates back upon the shelf.",
    "The apple trees in the orchard were in flower, and the bees were in the garden.",
    "Every Sunday the family drank tea upon the lawn beneath the old tree.",
    "The young wife was proud of her new house, her curtains and her carpet.",
    "The children gathered roses in the garden and brought them to their mother.",
    "The door of the parlour was open, and the ladies were at their sewing by the window.",
    "He knocked at the door of the cottage, and a girl let him into the kitchen.",
    "The servant lit the candles in the hall and drew the curtains of the parlour.",
    "My grandmother kept her best cups in the cupboard beside the chimney.",
    "The lady of the house walked down the garden path with a basket of flowers.",
    "The bread was upon the table, and the whole family came in from the orchard to supper.",
)

#: Sets of texts by name, for :func:`msma.steer` and ``msma steer``.
DEMONSTRATIONS: Mapping[str, tuple[str, ...]] = MappingProxyType({"demo-sea": _SEA, "demo-home": _HOME})
